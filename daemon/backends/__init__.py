"""The databases that load is put on."""
