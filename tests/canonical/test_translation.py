"""Any client API meets any upstream API."""

import pytest

from jarvis_proxy.canonical.answer import Answer
from jarvis_proxy.canonical.exchange import EmptyAnswerError, Exchange, Upstream
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.canonical.translation import TranslatedStream, TranslatedUpstream, Translation
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.response_events import SequenceNumbers
from tests.canonical.fakes import (
    FakeAdapter,
    FakeDialect,
    FakeUpstreamCall,
    Renamed,
    a_call,
    client_call,
)


def a_translation(
    upstream: FakeUpstreamCall | None = None, request: CanonicalRequest | None = None
) -> Translation:
    return Translation(client_call(request), upstream or FakeUpstreamCall())


# -- streams ---------------------------------------------------------------------------------


def test_events_go_out_as_their_bytes_come() -> None:
    translator = a_translation().stream_translator()

    assert translator.feed(b"text Hel") == b""
    assert translator.held == len("text Hel") + 7
    assert translator.feed(b"lo\n") == b"data: 0 Hello\n"
    assert translator.usage is None
    assert translator.feed(b"usage 3\n") == b""
    assert translator.usage == TokenUsage(3)
    assert not translator.done


def test_the_upstreams_mark_for_the_end_ends_the_stream() -> None:
    translator = a_translation().stream_translator()

    assert translator.feed(b"text a\nusage 3\nend\n") == (
        b"data: 0 a\ndata: 0 /stop\ndata: end 3 flex\n"
    )
    assert translator.done


def test_an_answer_without_an_end_is_cut_off() -> None:
    translator = a_translation().stream_translator()
    translator.feed(b"text a\n")

    with pytest.raises(ProxyError) as cut:
        translator.feed_eof()
    assert cut.value.code == "upstream_truncated"
    assert not translator.done


def test_an_answer_that_lacks_its_end_only_is_settled() -> None:
    translator = a_translation().stream_translator()
    assert isinstance(translator, TranslatedStream)

    assert translator.feed(b"text a\n") == b"data: 0 a\n"
    assert not translator.is_settled
    assert translator.feed(b"stop\n") == b"data: 0 /stop\n"
    assert translator.is_settled
    assert translator.feed_eof() == b"data: end None flex\n"


def test_an_answer_of_several_requests_or_one_that_failed_is_not_settled() -> None:
    one_of_two = a_translation(FakeUpstreamCall(count=2)).stream_translator()
    failed = a_translation().stream_translator()

    assert isinstance(one_of_two, TranslatedStream)
    assert isinstance(failed, TranslatedStream)
    one_of_two.feed(b"stop\n")
    with pytest.raises(ProxyError):
        failed.feed(b"stop\nerror messages\n")

    assert not one_of_two.is_settled
    assert not failed.is_settled


def test_an_answer_goes_on_in_a_further_request() -> None:
    translator = a_translation().stream_translator()

    assert translator.feed(b"text a\nmore\n") == b"data: 0 a\n"
    assert translator.feed_eof() == b""
    assert translator.next_request is not None
    assert translator.next_request.path == "/more"
    assert not translator.done
    assert translator.feed(b"text b\nend\n") == b"data: 0 b\ndata: 0 /stop\ndata: end None flex\n"
    assert translator.next_request is None
    assert translator.done


def test_the_last_request_ends_the_answer_and_counts_all_tokens() -> None:
    exchange = a_translation(FakeUpstreamCall(count=2))
    first, second = exchange.stream_translator(0), exchange.stream_translator(1)

    assert second.feed(b"text b\nusage 2\nend\n") == b"data: 1 b\ndata: 1 /stop\n"
    assert second.done
    assert first.feed(b"usage 3\nend\n") == b"data: 0 /stop\ndata: end 5 flex\n"


def test_what_came_before_an_error_goes_out_before_it() -> None:
    translator = a_translation().stream_translator()

    with pytest.raises(ProxyError) as failed:
        translator.feed(b"text a\nerror messages\ntext b\n")
    assert failed.value.completed_events == b"data: 0 a\n"
    assert (failed.value.param, failed.value.message) == ("my_messages", "Bad 'my_messages'.")


def test_nothing_goes_out_of_an_answer_that_is_asked_for_again() -> None:
    exchange = a_translation(FakeUpstreamCall(count=2))
    first, second = exchange.stream_translator(0), exchange.stream_translator(1)

    with pytest.raises(EmptyAnswerError) as empty:
        first.feed(b"empty\n")
    assert empty.value.completed_events == b""
    assert second.feed(b"text b\n") == b""


def test_a_further_attempt_starts_over() -> None:
    upstream = FakeUpstreamCall()
    exchange = a_translation(upstream)
    with pytest.raises(EmptyAnswerError):
        exchange.stream_translator().feed(b"empty\n")

    assert [request.body for request in exchange.requests] == [b"ask"]
    assert upstream.begun == 1
    assert exchange.stream_translator().feed(b"text a\n") == b"data: 0 a\n"


def test_the_same_request_again_is_another_attempt() -> None:
    upstream = FakeUpstreamCall()
    exchange = a_translation(upstream)
    exchange.stream_translator().feed(b"end\n")

    again = exchange.stream_translator()

    assert upstream.begun == 1
    assert again.feed(b"end\n") == b"data: 0 /stop\ndata: end None flex\n"


def test_the_answer_learns_how_many_events_the_client_has_had() -> None:
    given: list[SequenceNumbers | None] = []
    client = client_call()
    numbers = SequenceNumbers()

    def new_answer(*, stream: bool, numbers: SequenceNumbers | None = None) -> Answer:
        given.append(numbers)
        return client.new_answer(stream=stream, numbers=numbers)

    exchange = Translation(client._replace(new_answer=new_answer), FakeUpstreamCall())
    exchange.stream_translator(0, numbers)

    assert given == [numbers]


# -- whole answers ---------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    exchange = a_translation()

    assert exchange.translate_reply(b"text a\nusage 3\nend\n") is None
    assert exchange.answer() == b"data: 0 a\ndata: 0 /stop\ndata: end 3 flex\n"
    assert exchange.usage == TokenUsage(3)


def test_a_whole_answer_of_several_requests_with_a_continuation() -> None:
    exchange = a_translation(FakeUpstreamCall(count=2))

    following = exchange.translate_reply(b"text a\nmore\n", 0)
    assert following is not None
    assert following.path == "/more"
    assert exchange.translate_reply(b"text c\nusage 1\nend\n", 1) is None
    assert exchange.usage is None
    assert exchange.translate_reply(b"text b\nusage 2\nend\n", 0) is None

    assert exchange.usage == TokenUsage(3)
    assert exchange.answer() == (
        b"data: 0 a\ndata: 1 c\ndata: 1 /stop\ndata: 0 b\ndata: 0 /stop\ndata: end 3 flex\n"
    )


def test_tokens_of_an_answer_that_failed_are_known() -> None:
    exchange = a_translation()
    assert exchange.partial_usage is None

    with pytest.raises(ProxyError) as failed:
        exchange.translate_reply(b"usage 3\nerror n\n")

    assert failed.value.param == "my_n"
    assert exchange.partial_usage == TokenUsage(3)
    assert exchange.usage is None


# -- around the answer -----------------------------------------------------------------------


def test_what_is_ignored_has_the_clients_names_each_once() -> None:
    request = CanonicalRequest(body=b"", params=Renamed(), ignored=("my_n", "other"))
    upstream = FakeUpstreamCall(ignored=("seed", "n"), headers=(("x-model", "m"),))

    assert a_translation(upstream, request).headers == (
        ("x-jarvis-ignored", "my_n, other, my_seed"),
        ("x-model", "m"),
    )
    assert a_translation(FakeUpstreamCall(headers=(("x-model", "m"),))).headers == (
        ("x-model", "m"),
    )


def test_the_header_with_what_is_ignored_stays_short() -> None:
    upstream = FakeUpstreamCall(ignored=tuple(f"p{number}" for number in range(60)))
    request = CanonicalRequest(body=b"", params=SameParams())

    ((_, names),) = a_translation(upstream, request).headers
    assert names.split(", ") == [f"p{number}" for number in range(40)]


def test_a_refusal_is_about_the_clients_own_request() -> None:
    error = a_translation().translate_error(400, {}, b"messages")

    assert error is not None
    assert (error.param, error.message) == ("my_messages", "Bad 'my_messages'.")
    assert a_translation().translate_error(400, {}, b"") is None


def test_a_changed_call_has_the_same_client() -> None:
    exchange = a_translation(FakeUpstreamCall(remedies=[b"better"]))

    better = exchange.recover(400, b"")

    assert better is not None
    assert [request.body for request in better.requests] == [b"better"]
    assert better.stream_translator().feed(b"text a\n") == b"data: 0 a\n"
    assert better.recover(400, b"") is None


def test_all_bodies_together_are_the_weight() -> None:
    assert a_translation(FakeUpstreamCall(b"12345", count=2)).weight == 10


# -- the upstream ----------------------------------------------------------------------------


def an_upstream(
    adapter: FakeAdapter | None = None, dialect: FakeDialect | None = None
) -> TranslatedUpstream:
    return TranslatedUpstream(
        adapter or FakeAdapter(), {"chat/completions": dialect or FakeDialect()}
    )


def test_it_is_an_upstream() -> None:
    upstream: Upstream = an_upstream()
    exchange: Exchange = upstream.exchange(a_call(), {})

    assert upstream.name == "fake"
    assert not exchange.raw


def test_a_body_is_read_and_decoded_once() -> None:
    adapter, dialect = FakeAdapter(), FakeDialect()
    upstream = an_upstream(adapter, dialect)

    needs = upstream.needs(a_call())
    exchange = upstream.exchange(a_call(), {}, needs.decoded)

    assert needs.urls == ("https://host/picture",)
    assert needs.decoded is not None
    assert needs.decoded.size == 100
    assert [request.body for request in exchange.requests] == [b"canonical x"]
    assert adapter.bodies == [b""], "the decoded body is enough"
    assert dialect.reads == 1


def test_a_recovery_reads_the_clients_request_again() -> None:
    adapter, dialect = FakeAdapter(), FakeDialect()
    upstream = an_upstream(adapter, dialect)
    upstream.exchange(a_call(), {}, upstream.needs(a_call()).decoded)

    assert adapter.read is not None
    assert adapter.read().body == b"canonical x"
    assert dialect.reads == 2


def test_an_adapter_that_decodes_nothing_gets_the_body() -> None:
    adapter, dialect = FakeAdapter(decodes=False), FakeDialect()
    upstream = an_upstream(adapter, dialect)

    needs = upstream.needs(a_call())
    upstream.exchange(a_call(), {}, needs.decoded)

    assert needs.decoded is not None
    assert needs.decoded.size == len(b"canonical x")
    assert adapter.bodies == [b"canonical x"]
    assert dialect.reads == 1


def test_names_of_both_sides_are_ignored() -> None:
    exchange = an_upstream().exchange(a_call(), {})

    assert exchange.headers == (("x-jarvis-ignored", "mine, my_seed"),)


@pytest.mark.parametrize(("body", "param"), [(b"bad", "my_messages"), (b"odd", "my_n")])
def test_a_request_that_cannot_be_expressed_is_refused_in_the_clients_words(
    body: bytes, param: str
) -> None:
    upstream = an_upstream()

    with pytest.raises(ProxyError) as refused:
        upstream.exchange(a_call(body), {}, upstream.needs(a_call(body)).decoded)
    assert refused.value.param == param


def test_a_dialect_knows_the_models_features() -> None:
    dialect = FakeDialect()
    an_upstream(dialect=dialect).needs(a_call(model="painter"))

    assert dialect.features is not None
    assert dialect.features.draws


def test_other_endpoints_are_the_adapters_own() -> None:
    upstream = an_upstream()

    assert upstream.needs(a_call(endpoint="own")).urls == ()
    with pytest.raises(ProxyError) as refused:
        upstream.exchange(a_call(endpoint="own"), {})
    assert refused.value.code == "unsupported_endpoint"
