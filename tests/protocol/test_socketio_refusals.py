"""Socket.IO packets that break the protocol, each of them refused with what was expected."""

from __future__ import annotations

import pytest

from protocol import ProtocolError
from protocol.socketio import RESERVED_EVENTS, Decoder

PLACE = '{"_placeholder":true,"num":0}'


@pytest.mark.parametrize(
    "text",
    [
        "", "7", "9", "a", "abc", "-", "[", '["ev"]', " 2", "\x00", "\u0662[]", "\uff12[]",
    ],
)  # fmt: skip
def test_what_does_not_begin_with_a_packets_digit_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match=r"expected a Socket\.IO packet"):
        Decoder().add(text)


@pytest.mark.parametrize(
    "text",
    [
        "2",  # an event has its array
        "2{}",
        '2"ev"',
        "21",
        "2/chat,",
        "2/chat",
        '2 ["a"]',  # nothing stands before the array
        '2\t["a"]',
        '2/chat, ["a"]',
        '21 ["a"]',
        '2/chat["a"]',  # the namespace ends with a comma
        '2chat,["a"]',  # and begins with a slash
        '2abc["message-with-ack"]',
        '2-1["a"]',
        '2+1["a"]',
        '21.5["a"]',
        '2\u0661["a"]',  # a digit, but not of ours
        "2" + "1" * 17 + '["a"]',  # too long for a number of theirs
        "2[]",  # the name comes first
        "2[null]",
        "2[true]",
        "2[false]",
        '2[["ev"]]',
        '2[{"ev":1}]',
        f"51-[{PLACE}]",
        f"51-{PLACE}",
    ],
)  # fmt: skip
def test_an_event_without_its_array_and_name_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected an event's array, its name first"):
        Decoder().add(text)


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("form", ['2["{}"]', '2/chat,7["{}",1]', '51-["{}",' + "{{}}]"])
def test_an_event_with_a_reserved_name_is_refused(form: str, name: str) -> None:
    with pytest.raises(ProtocolError, match="expected an event's array, its name first"):
        Decoder().add(form.format(name))


def test_a_reserved_name_in_escapes_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Decoder().add('2["\\u0063onnect"]')


def test_the_reserved_names_are_those_of_the_protocol() -> None:
    lifecycle = {"connect", "connect_error", "disconnect", "disconnecting"}
    assert lifecycle | {"newListener", "removeListener"} == RESERVED_EVENTS


@pytest.mark.parametrize(
    "text", ["3", "31", "3[]", '3["a"]', "3/chat,[]", "31{}", "31 []", '31"a"', "31null", "61-[1]"]
)
def test_an_ack_without_its_id_and_array_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected an ack's id and array"):
        Decoder().add(text)


@pytest.mark.parametrize("text", ["0[]", '0"a"', "0null", "0 {}", "0/a,[]", "0/a,null", "0a", "0,"])
def test_a_connect_with_anything_but_an_object_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected an object or nothing in a CONNECT"):
        Decoder().add(text)


@pytest.mark.parametrize("text", ["1[]", "1{}", "1 ", '1"a"', "1/a,[]", "1a", "1,"])
def test_a_disconnect_with_data_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected nothing in a DISCONNECT"):
        Decoder().add(text)


@pytest.mark.parametrize("text", ["4[]", "4null", "4true", "4/a,[]", "4/a,null"])
def test_a_connect_error_with_anything_but_an_object_or_text_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected an object or a string in a CONNECT_ERROR"):
        Decoder().add(text)


@pytest.mark.parametrize("text", ["01", "01{}", "11", "1/a,1", '41"a"', "4/a,1{}"])
def test_only_events_and_acks_have_an_ack_id(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected no ack id"):
        Decoder().add(text)


@pytest.mark.parametrize(
    "text",
    [
        '2["ev"', '2["ev",]', "2[ev]", '2["ev"]]', '2["ev"]x', '2["ev",NaN]', '2["ev",undefined]',
        '2["ev",01]', "2['ev']", '2["ev\n"]', '2["\\x"]', '2["\\u00"]', '2["ev', "2[",
        '0{"a"}', '0{"a":1', "0{a:1}", "31[", "4", "4/a,", "4{", "4no",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected JSON"):
        Decoder().add(text)


# Attachments.


@pytest.mark.parametrize(
    "text",
    [
        '5["ev"]', "5", '51["ev"]', '5-["ev"]', '5/chat,["ev"]', '5-1-["ev"]', '5 1-["ev"]',
        '5\u0661-["ev"]', '512345-["ev"]', "61[]", '21-["ev"]', "31-1[]", "01-{}", "11-", '41-"a"',
    ],
)  # fmt: skip
def test_binary_types_and_no_others_have_a_number_of_attachments(text: str) -> None:
    with pytest.raises(ProtocolError, match="expected a number of attachments in binary types"):
        Decoder().add(text)


@pytest.mark.parametrize("number", ["0", "00", "11", "0011", "9999"])
@pytest.mark.parametrize("rest", ['5{}-["ev"]', "6{}-1[]"])
def test_less_than_one_and_more_than_ten_attachments_are_refused(rest: str, number: str) -> None:
    with pytest.raises(ProtocolError, match=f"expected 1 to 10 attachments, {number} announced"):
        Decoder().add(rest.format(number))


@pytest.mark.parametrize("data", [b"", b"a", b'2["ev"]'])
def test_bytes_that_none_announced_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="saw an attachment that none announced"):
        Decoder().add(data)


def test_bytes_behind_the_last_attachment_are_refused() -> None:
    decoder = Decoder()
    decoder.add(f'51-["ev",{PLACE}]')
    decoder.add(b"a")
    with pytest.raises(ProtocolError, match="saw an attachment that none announced"):
        decoder.add(b"b")


@pytest.mark.parametrize("text", ['2["ev"]', "1", "", f'51-["ev",{PLACE}]'])
@pytest.mark.parametrize("before", [0, 1])
def test_text_between_attachments_is_refused(text: str, before: int) -> None:
    decoder = Decoder()
    decoder.add(f'52-["ev",{PLACE}]')
    for _ in range(before):
        decoder.add(b"a")
    with pytest.raises(ProtocolError, match="expected 2 attachments, saw text"):
        decoder.add(text)


@pytest.mark.parametrize(
    "number", ["1", "-1", "0.0", "0.5", '"0"', "null", "true", "false", "[0]", "{}", "1e99"]
)
def test_a_placeholder_without_its_attachment_is_refused(number: str) -> None:
    decoder = Decoder()
    assert decoder.add(f'51-["ev",[{{"_placeholder":true,"num":{number}}}]]') is None
    with pytest.raises(ProtocolError, match="expected a placeholder of 1"):
        decoder.add(b"a")


def test_a_placeholder_without_a_number_is_refused() -> None:
    decoder = Decoder()
    decoder.add('51-["ev",{"_placeholder":true}]')
    with pytest.raises(ProtocolError, match="expected a placeholder of 1"):
        decoder.add(b"a")


def test_a_refusal_shows_only_the_beginning_of_what_was_seen() -> None:
    for text in ("x" * 100_000, "2" + "x" * 100_000, "1" + "x" * 100_000, "2" * 100_000):
        with pytest.raises(ProtocolError) as caught:
            Decoder().add(text)
        assert len(str(caught.value)) < 200
