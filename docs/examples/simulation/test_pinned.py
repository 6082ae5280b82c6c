import pytest
from chat import evening


@pytest.mark.sim
@pytest.mark.sim_example("s1.AWNiBAEmRgCUrQ")
@pytest.mark.sim_example("s1.AAECBAECAQMBFOo")
async def test_an_evening():
    await evening()
