from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.masking import mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://ann:secret@db:5432/shop", "postgresql+psycopg://ann:***@db:5432/shop"),
        ("postgresql://ann@db/shop", "postgresql://ann@db/shop"),
        ("postgresql://:secret@db/shop", "postgresql://:***@db/shop"),
        ("sqs://KEY:secret@eu-west-1", "sqs://KEY:***@eu-west-1"),
        ("mysql://ann:se@cr/et:@db/shop", "mysql://ann:***@db/shop"),
        (
            "postgresql://db/shop?user=ann&password=secret&sslmode=require",
            "postgresql://db/shop?user=ann&password=***&sslmode=require",
        ),
        ("http://x/?aws_secret_access_key=secret#a", "http://x/?aws_secret_access_key=***#a"),
        ("sqlite:////var/app.db", "sqlite:////var/app.db"),
        ("could not connect to postgresql://ann:secret@db/shop", "could not connect to postgresql://ann:***@db/shop"),
        ("no URL: at@all", "no URL: at@all"),
    ],
)
def test_passwords_are_masked_and_the_rest_is_kept(url, shown):
    assert mask_url(url) == shown


@given(st.text(min_size=1))
def test_no_password_gets_through(password):
    """P19."""
    assert mask_url(f"postgresql://ann:<<{password}>>@db/shop") == "postgresql://ann:***@db/shop"
