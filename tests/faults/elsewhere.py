"""Faults that are held by tests of their own, outside of the matrix. No IO."""

from typing import Final, NamedTuple


class Elsewhere(NamedTuple):
    """A fault, what is seen of it, and the test: its file below tests/ and its function."""

    fault: str
    seen: str
    file: str
    test: str


_EDGE: Final = "aiohttp_ext/test_server_connection.py"
_GUARD: Final = "server/test_admission.py"
_LIFE: Final = "test_lifecycle.py"
_HOST: Final = "test_host_faults.py"
ELSEWHERE: Final[tuple[tuple[str, tuple[Elsewhere, ...]], ...]] = (
    (
        "Every cut",
        (
            Elsewhere(
                "A stream is cut at any byte, by a clean end, FIN or RST",
                "the whole answer where all of it had come, else an error event or a status",
                "faults/test_every_cut.py",
                "test_cut_at_every_byte_is_complete_or_told",
            ),
            Elsewhere(
                "A stream breaks off between its finish reason and its end, for clients of any API",
                "the whole answer (where Gemini is translated, only its body's end is an end)",
                "test_settled_streams.py",
                "test_an_answer_with_its_finish_reason_is_complete",
            ),
            Elsewhere(
                "The client leaves at any moment",
                "nothing; the upstream's connection is closed at once",
                "faults/test_leaving_clients.py",
                "test_call_ends_with_its_client_wherever_it_stands",
            ),
        ),
    ),
    (
        "Many and slow",
        (
            Elsewhere(
                "Thousands of streams, half of them with random faults",
                "complete and equal, or an explicit error",
                "test_soak.py",
                "test_no_stream_ends_in_silence_and_no_good_one_fails",
            ),
            Elsewhere(
                "Any order of opening, sending, resetting, stalling, leaving, reloading, draining",
                "the same; no connection, task or descriptor is left",
                "test_state_machine.py",
                "test_any_course_of_events",
            ),
            Elsewhere(
                "Many clients that read nothing",
                "memory stays bounded, the upstreams are paused, other streams go on",
                "test_slow_readers.py",
                "test_slow_readers_cost_bounded_memory_and_no_other_stream",
            ),
            Elsewhere(
                "Hundreds of streams at once",
                "all complete; tasks and descriptors come back to what they were",
                "test_many_streams.py",
                "test_many_streams_at_once_complete_and_leave_nothing",
            ),
            Elsewhere(
                "Many sessions of `/v1/realtime`, whose client or upstream dies in any state",
                "the other side gets a close code; no task, descriptor or memory is left",
                "test_realtime_soak.py",
                "test_every_end_is_known_at_the_other_side_and_nothing_stays",
            ),
            Elsewhere(
                "slowhttptest: bodies and heads that drip, answers that are not read",
                "every connection is closed in time, others are served",
                "test_slowhttptest.py",
                "test_connections_are_freed_and_others_served",
            ),
            Elsewhere(
                "A client that stops reading",
                "its connection is reset after `WRITE_STALL_TIMEOUT`",
                "server/relay/test_client_stream_slow.py",
                "test_client_that_stops_reading_a_stream_is_cut_off",
            ),
        ),
    ),
    (
        "Any input",
        (
            Elsewhere(
                "Bytes of any kind in requests, streams, answers, errors and `.env`",
                "what each parser's and translator's rule says, or an error of ours",
                "test_fuzz.py",
                "test_changed_inputs_are_handled",
            ),
            Elsewhere(
                "What fuzzing found",
                "the same",
                "test_fuzz.py",
                "test_what_it_starts_from_and_what_it_found_is_handled",
            ),
        ),
    ),
    (
        "Connections and requests",
        (
            Elsewhere(
                "More connections than the limit",
                "503 `overloaded`, closed",
                _EDGE,
                "test_excess_connection_gets_an_error_and_is_closed",
            ),
            Elsewhere(
                "A request head that drips",
                "408, closed",
                _EDGE,
                "test_dripping_a_head_does_not_buy_time",
            ),
            Elsewhere(
                "A request body that drips",
                "408, closed",
                "server/test_request_body.py",
                "test_body_that_drips_is_given_up",
            ),
            Elsewhere(
                "Bodies that take more memory together than the limit",
                "503 `overloaded`",
                _GUARD,
                "test_bodies_together_have_a_limit_and_give_it_back",
            ),
            Elsewhere(
                "More calls at once than the limit",
                "503 `overloaded`",
                _GUARD,
                "test_overload_is_answered_at_once_and_health_stays_quick",
            ),
            Elsewhere(
                "A storm of wrong keys",
                "429 after ten; a right key still opens",
                _GUARD,
                "test_ten_wrong_keys_are_refused_and_the_next_must_wait",
            ),
            Elsewhere(
                "Malformed HTTP, smuggling, pipelining, upgrades: over 81 payloads",
                "an answer with the right status, or the connection is closed",
                "server/test_wire_payloads.py",
                "test_payload_comes_to_its_answer",
            ),
            Elsewhere(
                "A base URL that leads back to the proxy, over other servers",
                "508 `loop_detected` after one round; it names the setting",
                "server/test_loops.py",
                "test_a_call_that_comes_back_is_refused_at_once_with_its_setting",
            ),
            Elsewhere(
                "A wrong method",
                "405 with `Allow`",
                "server/test_served_addresses.py",
                "test_wrong_method_is_refused_with_the_right_ones",
            ),
        ),
    ),
    (
        "Processes",
        (
            Elsewhere(
                "SIGTERM during streams",
                "every stream ends, exit code 0",
                _LIFE,
                "test_drain_lets_every_stream_end_and_exits_with_0",
            ),
            Elsewhere(
                "Streams that outlast the drain",
                "error event `server_shutdown`",
                _LIFE,
                "test_what_has_not_ended_in_time_gets_the_reason",
            ),
            Elsewhere(
                "A second signal",
                "the same at once, exit within two seconds",
                _LIFE,
                "test_a_second_signal_ends_it_within_two_seconds",
            ),
            Elsewhere(
                "SIGHUP with a broken file",
                "nothing changes",
                _LIFE,
                "test_a_broken_file_changes_nothing_and_is_one_error_without_values",
            ),
            Elsewhere(
                "SIGHUP with a base URL that is the proxy's own address",
                "nothing changes",
                "test_lifecycle.py",
                "test_a_reload_refuses_a_base_url_that_leads_here",
            ),
            Elsewhere(
                "The terminal that it was started from is closed",
                "every stream ends, exit code 0",
                "test_lifecycle.py",
                "test_a_terminal_that_is_closed_ends_it",
            ),
            Elsewhere(
                "A log that cannot be written",
                "nothing: calls go on",
                _HOST,
                "test_a_log_that_cannot_be_written_costs_no_call",
            ),
            Elsewhere(
                "Descriptors run out",
                "streams go on, new connections wait",
                _HOST,
                "test_files_that_run_out_cost_no_flood_of_tracebacks",
            ),
            Elsewhere(
                "The clock jumps",
                "nothing: no time limit reads it",
                _HOST,
                "test_no_timer_reads_a_clock_that_can_jump",
            ),
            Elsewhere(
                "A worker of several is killed",
                "its calls are cut; a new one starts at once",
                "test_workers.py",
                "test_a_killed_worker_is_replaced_at_once_and_its_counts_stay",
            ),
            Elsewhere(
                "A worker must stop",
                "nothing: its streams end, the next one serves",
                "test_workers.py",
                "test_a_worker_that_must_stop_drains_while_the_next_one_serves",
            ),
            Elsewhere(
                "Redis dies, stands still, comes back",
                "nothing: each process continues with its own state",
                "test_several_servers.py",
                "test_no_request_fails_when_redis_dies_and_all_is_shared_again_when_it_is_back",
            ),
            Elsewhere(
                "A server behind HAProxy is restarted",
                "nothing: the others take its calls",
                "test_several_servers.py",
                "test_a_server_that_is_restarted_behind_haproxy_fails_no_request",
            ),
            Elsewhere(
                "The server restarts under load behind systemd's socket",
                "no request fails",
                _LIFE,
                "test_sockets_of_a_service_manager_outlive_the_server",
            ),
            Elsewhere(
                "A second server starts on the same port",
                "it exits with 1 and names the owner; the first one serves on",
                _LIFE,
                "test_second_start_names_the_owner_of_the_port",
            ),
        ),
    ),
)
