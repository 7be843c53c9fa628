"""When the store counts as usable, and how long it is left alone."""

from jarvis_proxy.redis_backend.store_health import StoreHealth


def test_it_begins_as_not_usable() -> None:
    assert not StoreHealth().usable


def test_it_is_usable_from_its_coming_up_to_its_going_down() -> None:
    standing = StoreHealth()
    standing.came_up(10.0)
    was_usable = standing.usable
    standing.went_down(11.0)

    assert (was_usable, standing.usable) == (True, False)


def test_three_late_answers_in_a_row_are_too_many() -> None:
    standing = StoreHealth()
    standing.came_up(0.0)
    answers = [True, True, False, True, True, True]

    assert [standing.answered(late=late) for late in answers] == [True] * 5 + [False]


def test_coming_up_forgets_late_answers() -> None:
    standing = StoreHealth()
    for _ in range(2):
        standing.answered(late=True)
    standing.came_up(0.0)

    assert standing.answered(late=True)


def test_pauses_double_up_to_two_seconds_while_it_cannot_be_reached() -> None:
    standing = StoreHealth()

    assert [standing.next_pause(reachable=False) for _ in range(6)] == [0.25, 0.5, 1, 2, 2, 2]


def test_pauses_grow_to_half_a_minute_for_one_that_is_there_and_does_not_work() -> None:
    standing = StoreHealth()
    pauses = [standing.next_pause(reachable=True) for _ in range(9)]

    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_one_that_went_soon_again_is_left_alone_for_longer_than_one_that_worked() -> None:
    standing = StoreHealth()
    standing.next_pause(reachable=False)
    standing.came_up(100.0)
    standing.went_down(109.0)
    unsteady = standing.next_pause(reachable=False)
    standing.came_up(200.0)
    standing.went_down(210.0)

    assert (unsteady, standing.next_pause(reachable=False)) == (0.5, 0.25)


def test_going_down_twice_changes_nothing() -> None:
    standing = StoreHealth()
    standing.next_pause(reachable=False)
    standing.went_down(50.0)

    assert standing.next_pause(reachable=False) == 0.5
