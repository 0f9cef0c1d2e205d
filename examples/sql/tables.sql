-- tables.sql
CREATE TABLE customers (id int PRIMARY KEY, name text, balance bigint);
CREATE TABLE deposits (customer int, amount int);
CREATE TABLE orders (id text PRIMARY KEY, customer int, state text, note text, placed text);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO customers SELECT i, 'name', 1000 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
INSERT INTO orders SELECT CAST(i AS text), 1, 'new', '', '2026-01-01' FROM n;
