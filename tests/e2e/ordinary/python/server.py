import bottle
@bottle.get("/")
def index():
    return "bottle " + bottle.__version__ + "\n"
bottle.run(host="0.0.0.0", port=80)
