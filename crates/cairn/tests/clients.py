"""What Python's MySQL clients do with a server: run by the test that started it, with the port as argument."""
import sys

import pymysql
import sqlalchemy as sa

port = int(sys.argv[1])

conn = pymysql.connect(host="127.0.0.1", port=port, user="root", database="d", autocommit=True)
with conn.cursor() as cursor:
    cursor.execute("INSERT INTO t VALUES (%s, %s, %s), (%s, %s, %s)", (1, "1.50", "it's", 2, None, None))
    assert cursor.rowcount == 2, cursor.rowcount
    cursor.execute("SELECT * FROM t ORDER BY k")
    rows = cursor.fetchall()
    assert [str(rows[0][1]), rows[0][2], rows[1][1]] == ["1.50", "it's", None], rows
    assert [d[0] for d in cursor.description] == ["k", "v", "s"]
    try:
        cursor.execute("SELECT * FROM nosuch")
        raise AssertionError("an unknown table gave no error")
    except pymysql.err.Error as error:
        assert error.args[0] == 5502, error.args
conn.close()

# Nothing is taken back, and the answer says so.
conn = pymysql.connect(host="127.0.0.1", port=port, user="root", database="d")
with conn.cursor() as cursor:
    cursor.execute("CREATE TABLE kept (k INT)")
    cursor.execute("INSERT INTO kept VALUES (1)")
    conn.rollback()
    conn.begin()
    cursor.execute("INSERT INTO kept VALUES (2)")
    conn.commit()
    conn.begin()
    cursor.execute("INSERT INTO kept VALUES (3)")
    try:
        conn.rollback()
        raise AssertionError("a rollback that undid nothing gave no error")
    except pymysql.err.Error as error:
        assert "cannot take back" in error.args[1], error.args
conn.close()

engine = sa.create_engine(f"starrocks://root:@127.0.0.1:{port}/d")
with engine.connect() as connection:
    assert connection.execute(sa.text("SELECT count(*) FROM t WHERE k > :low"), {"low": 1}).scalar() == 1
    connection.execute(sa.text("INSERT INTO t VALUES (3, 2.5, 'x')"))
with engine.begin() as connection:
    connection.execute(sa.text("INSERT INTO kept VALUES (4)"))
    assert connection.execute(sa.text("SELECT count(*) FROM kept")).scalar() == 4
inspector = sa.inspect(engine)
assert "t" in inspector.get_table_names(), inspector.get_table_names()
columns = {column["name"]: column for column in inspector.get_columns("t")}
assert set(columns) == {"k", "v", "s"}, columns
assert columns["k"]["nullable"] is False, columns["k"]
print("all clients passed")
