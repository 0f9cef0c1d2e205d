"""`soakd top`: what /metrics of a running soakd says, as a picture in a terminal."""
