"""The shop: products and orders in PostgreSQL, page views and a cache in Redis."""

import json
import os
import sys

import flask
import psycopg2
import redis

app = flask.Flask(__name__)
cache = redis.Redis(host=os.environ["CACHE_HOST"], decode_responses=True)

CACHE_SECONDS = 30

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (
    id serial PRIMARY KEY, name text UNIQUE NOT NULL, cents integer NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id serial PRIMARY KEY, product integer NOT NULL REFERENCES products, placed timestamptz DEFAULT now()
);
INSERT INTO products (name, cents) VALUES ('oar', 4900), ('anchor', 12900), ('rope', 900)
    ON CONFLICT DO NOTHING;
"""


def database():
    with open(os.environ["DB_PASSWORD_FILE"], encoding="utf-8") as file:
        password = file.read().strip()
    return psycopg2.connect(
        host=os.environ["DB_HOST"], dbname=os.environ["DB_NAME"], user="postgres", password=password
    )


def query(statement, *values):
    connection = database()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def products():
    """The products, and whether they came from the cache."""
    stored = cache.get("products")
    if stored:
        return json.loads(stored), True
    rows = query("SELECT name, cents FROM products ORDER BY name")
    found = [{"name": name, "cents": cents} for name, cents in rows]
    cache.setex("products", CACHE_SECONDS, json.dumps(found))
    return found, False


@app.get("/")
def index():
    found, cached = products()
    orders = query("SELECT count(*) FROM orders")[0][0]
    return flask.jsonify(products=found, cached=cached, orders=orders, views=cache.incr("views"))


@app.post("/orders/<name>")
def order(name):
    placed = query("INSERT INTO orders (product) SELECT id FROM products WHERE name = %s RETURNING id", name)
    if not placed:
        return flask.jsonify(error=f"no product {name}"), 404
    return flask.jsonify(order=placed[0][0]), 201


@app.get("/health")
def health():
    cache.ping()
    query("SELECT 1")
    return "ok\n"


if __name__ == "__main__" and sys.argv[1:] == ["migrate"]:
    query(SCHEMA)
    print("the tables are there")
