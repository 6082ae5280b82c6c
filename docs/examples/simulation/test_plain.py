import trio
from chat import evening


def test_an_evening():
    for _ in range(1000):
        trio.run(evening)
