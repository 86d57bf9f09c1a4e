"""Random sessions, once direct and once through the proxy: every answer must be the same.

Arguments: user, password, database, host and port direct, host and port of the proxy, seed, sessions.
"""

import random
import sys

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS

USER, PASSWORD, DATABASE = sys.argv[1:4]
DIRECT = (sys.argv[4], int(sys.argv[5]))
PROXY = (sys.argv[6], int(sys.argv[7]))
REPLICA = (sys.argv[8], int(sys.argv[9]))
SEED, SESSIONS = int(sys.argv[10]), int(sys.argv[11])
LENGTH = 40

# Those of a line go one after the other. What is asked about the statement before the last is lost with a
# connection (docs/sqlproxy.md), and what a READ ONLY transaction ties to its reader stays there.
STATEMENTS = """
UPDATE d SET v = v + 1 WHERE id < 3 ;; SELECT ROW_COUNT()
SELECT SQL_CALC_FOUND_ROWS * FROM d ORDER BY id LIMIT 1 ;; SELECT FOUND_ROWS()
SELECT * FROM nonexistent ;; SHOW WARNINGS
SELECT 1/0 FROM d ;; SHOW WARNINGS
SELECT 1/0 FROM d ;; SELECT v FROM d ORDER BY id
START TRANSACTION READ ONLY ;; SELECT COUNT(*) FROM d ;; COMMIT
START TRANSACTION READ ONLY ;; INSERT INTO d (v) VALUES (3) ;; ROLLBACK
START TRANSACTION READ ONLY ;; BEGIN ;; INSERT INTO d (v) VALUES (3) ;; COMMIT
START TRANSACTION READ ONLY ;; LOCK TABLES d WRITE ;; INSERT INTO d (v) VALUES (3) ;; UNLOCK TABLES
SELECT * FROM d ORDER BY id LIMIT 5
SELECT COUNT(*) FROM d
SELECT id FROM d ORDER BY id
INSERT INTO d (v) VALUES (7)
INSERT INTO d (v) VALUES (8), (9)
INSERT INTO d (id, v) VALUES (500, 1)
DELETE FROM d WHERE id = 500
UPDATE d SET v = v + 1 WHERE id = 1
DELETE FROM d WHERE id = 3
SELECT LAST_INSERT_ID()
SET @x = 5
SELECT @x
SELECT @y
SET sql_mode = 'ANSI'
SELECT "id" FROM d ORDER BY id LIMIT 1
SET sql_mode = DEFAULT
SET time_zone = '+05:00'
SELECT @@time_zone
BEGIN
COMMIT
ROLLBACK
SET autocommit = 0
SET autocommit = 1
SELECT @@autocommit
SAVEPOINT a
ROLLBACK TO a
SELECT v FROM d WHERE id = 1 FOR UPDATE
CREATE TEMPORARY TABLE IF NOT EXISTS tmpx (a INT)
INSERT INTO tmpx VALUES (1)
SELECT * FROM tmpx
DROP TEMPORARY TABLE IF EXISTS tmpx
USE information_schema
USE shop
SELECT DATABASE()
SET NAMES latin1
SET NAMES utf8mb4
SHOW VARIABLES LIKE 'character_set%'
SET character_set_results = NULL
SELECT CAST('é' AS CHAR)
PREPARE p FROM 'SELECT ? + 1'
EXECUTE p USING @x
DEALLOCATE PREPARE p
LOCK TABLES d WRITE
UNLOCK TABLES
SELECT GET_LOCK('differential', 0)
SELECT RELEASE_LOCK('differential')
SELECT RELEASE_ALL_LOCKS()
SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE
SELECT @@tx_isolation
SELECT 1; SELECT 2; SELECT 3
INSERT INTO d (v) VALUES (1); SELECT LAST_INSERT_ID()
SET sql_select_limit = 2
SET sql_select_limit = DEFAULT
SET insert_id = 900
SET last_insert_id = 77
SET max_statement_time = 5
SELECT @@max_statement_time
XA START 'a'
XA END 'a'
XA ROLLBACK 'a'
HANDLER d OPEN
HANDLER d READ FIRST
HANDLER d CLOSE
DO 1
SELECT USER()
CALL p1()
SELECT f1()
SELECT REPEAT('x', 100000)
""".strip().splitlines()

SETUP = [
    "DROP TABLE IF EXISTS d",
    "CREATE TABLE d (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
    "INSERT INTO d (v) VALUES (1), (2), (3), (4), (5), (6)",
    "DROP PROCEDURE IF EXISTS p1",
    "CREATE PROCEDURE p1() BEGIN SET @y = 3; SET SESSION sql_mode = 'ANSI'; SELECT 5; END",
    "DROP FUNCTION IF EXISTS f1",
    "CREATE FUNCTION f1() RETURNS INT DETERMINISTIC RETURN 4",
]


def connect(to):
    return pymysql.connect(
        host=to[0],
        port=to[1],
        user=USER,
        password=PASSWORD,
        database=DATABASE,
        autocommit=True,
        charset="utf8mb4",
        client_flag=CLIENT.MULTI_STATEMENTS,
        read_timeout=20,
    )


def run(session, statement):
    cursor, told = session.cursor(), []
    try:
        cursor.execute(statement)
        while True:
            columns = [column[:2] for column in cursor.description or []]
            # Whether a change is told is the client's agreement with each end.
            flags = session.server_status & ~0x4000
            told.append(
                (cursor.rowcount, cursor.fetchall(), columns, cursor.lastrowid, flags)
            )
            if not cursor.nextset():
                break
    except pymysql.MySQLError as error:
        told.append(("error",) + error.args)
        session._result = None
    return told


def play(statements, to):
    setup = connect(DIRECT)
    cursor = setup.cursor()
    for statement in SETUP:
        cursor.execute(statement)
    cursor.execute("SELECT @@gtid_binlog_pos")
    position = cursor.fetchone()
    setup.close()
    replica = connect(REPLICA)
    replica.cursor().execute("SELECT MASTER_GTID_WAIT(%s, 30)", position)
    replica.close()
    session = connect(to)
    told = [run(session, statement) for statement in statements]
    session.close()
    return told


def host_of(answer):
    """The server knows the proxy by another address than the client."""
    return str(answer).replace(PROXY[0], "HOST").replace("10.77.0.1'", "HOST'")


def main():
    chance = random.Random(SEED)
    for number in range(SESSIONS):
        lines = [chance.choice(STATEMENTS) for _ in range(LENGTH)]
        statements = [one for line in lines for one in line.split(" ;; ")][:LENGTH]
        direct, proxy = play(statements, DIRECT), play(statements, PROXY)
        for place, (one, other) in enumerate(zip(direct, proxy)):
            if host_of(one) != host_of(other):
                print(f"session {number}, statement {place}: {statements[: place + 1]}")
                print(f"  direct {one}\n  proxy  {other}")
                sys.exit(1)
    print(f"{SESSIONS} sessions, {SESSIONS * LENGTH} statements, all the same")


assert SERVER_STATUS.SERVER_STATUS_IN_TRANS == 1
main()
