"""Tasks and reports to bytes and back. Nothing here ever imports what a message names (P8)."""

from __future__ import annotations

from taskqueue.codec.arguments import convert_arguments as convert_arguments
from taskqueue.codec.arguments import from_json_arguments as from_json_arguments
from taskqueue.codec.messages import DecodedTask as DecodedTask
from taskqueue.codec.messages import Header as Header
from taskqueue.codec.messages import decode as decode
from taskqueue.codec.messages import encode as encode
from taskqueue.codec.messages import masked_parameters as masked_parameters
from taskqueue.codec.messages import peek as peek
from taskqueue.codec.messages import reissue as reissue
from taskqueue.codec.reports import decode_report as decode_report
from taskqueue.codec.reports import encode_report as encode_report
from taskqueue.codec.reports import result_of as result_of
