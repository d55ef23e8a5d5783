import pytest

from space.addresses import client_address


@pytest.mark.parametrize(("peer", "forwarded", "trusted", "wanted"), [
    ("10.0.0.7", "", True, "10.0.0.7"),
    ("10.0.0.7", "8.8.4.4", True, "8.8.4.4"),
    ("10.0.0.7", "1.2.3.4, 8.8.4.4", True, "8.8.4.4"),  # the visitor forged the left one
    ("10.0.0.7", "8.8.4.4, 10.1.2.3", True, "8.8.4.4"),  # a second proxy of the house
    ("10.0.0.7", "junk, <script>, 8.8.4.4:5123 , 127.0.0.1", True, "8.8.4.4"),
    ("10.0.0.7", "::ffff:8.8.4.4", True, "8.8.4.4"),
    ("10.0.0.7", "2001:4860:1:2:3:4:5:6", True, "2001:4860:1:2::/64"),
    ("8.8.4.4", "1.2.3.4", False, "8.8.4.4"),
    ("127.0.0.1", "1.2.3.4", False, "127.0.0.1"),
    ("", ",,,", True, ""),
])
def test_the_address_is_the_one_a_visitor_cannot_choose(peer, forwarded, trusted, wanted):
    assert client_address(peer, {"x-forwarded-for": forwarded}, trusted) == wanted
