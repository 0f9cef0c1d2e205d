-- deposit.sql: money for a customer, and a note of it
\set customer random_zipfian(1, 1000, 1.2)
\set amount random(1, 500)
BEGIN;
UPDATE customers SET balance = balance + :amount WHERE id = :customer RETURNING balance \gset new_
\if :new_balance > 100000
UPDATE customers SET balance = 0 WHERE id = :customer;
\endif
INSERT INTO deposits (customer, amount) VALUES (:customer, :amount);
END;
