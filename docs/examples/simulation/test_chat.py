import pytest
from chat import evening


@pytest.mark.sim
async def test_an_evening():
    await evening()
