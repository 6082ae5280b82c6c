"""A lenient decoder reads what Node's does: no payload, and white space where a number is."""

from __future__ import annotations

import pytest

from protocol import ProtocolError
from protocol.socketio import Decoder, Packet, PacketType


@pytest.mark.parametrize("message", ["2", "21", "2/chat,", "2/chat,7", "3", "31", "3 "])
def test_an_event_or_ack_without_its_array_is_nothing(message: str) -> None:
    decoder = Decoder(lenient=True)
    assert decoder.add(message) is None
    assert decoder.add('2["e"]') == Packet(PacketType.EVENT, "/", ["e"])  # it waits for nothing
    with pytest.raises(ProtocolError):
        Decoder().add(message)


@pytest.mark.parametrize(
    ("message", "id_"), [('2 ["e"]', 0), ('2\n["e"]', 0), ('2 7["e"]', 7), ('2/chat,\t7 ["e"]', 7)]
)
def test_white_space_is_read_as_in_a_number_of_javascript(message: str, id_: int) -> None:
    packet = Decoder(lenient=True).add(message)
    assert packet is not None
    assert (packet.id, packet.data) == (id_, ["e"])
    with pytest.raises(ProtocolError):
        Decoder().add(message)


@pytest.mark.parametrize("message", ['21 2["e"]', "2null", "51-", "5", "9", "", '1["e"]'])
def test_what_node_refuses_is_refused(message: str) -> None:
    with pytest.raises(ProtocolError):
        Decoder(lenient=True).add(message)
