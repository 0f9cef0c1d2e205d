-- Run once, when the database's volume is new: the role that soakd works as, and what it measures with.
\getenv password POSTGRES_PASSWORD
CREATE ROLE soakd LOGIN PASSWORD :'password';
-- It reads the statistics of all sessions without being a superuser.
GRANT pg_monitor TO soakd;
CREATE DATABASE soakd OWNER soakd;
\connect soakd
CREATE EXTENSION pg_stat_statements;
-- From now on the superuser has no password, so it gets in through the socket in its container and in no other way.
ALTER ROLE postgres PASSWORD NULL;
