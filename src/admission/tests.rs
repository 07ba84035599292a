//! Tests of the decisions of admission control.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::values::label::Label as _;

const SECOND: Duration = Duration::from_secs(1);
/// An arbitrary time.
const NOW: Duration = Duration::from_secs(2_000_000_000);
/// A roll that refuses no connection that can be accepted.
const LUCKY: u32 = 99;

fn settings() -> AdmissionSettings {
    AdmissionSettings {
        startups: Startups {
            start: 10,
            rate: 30,
            full: 100,
        },
        per_source: 4,
        ipv4_prefix: 32,
        ipv6_prefix: 64,
        penalties: Penalties {
            enabled: true,
            failed_login: 5 * SECOND,
            no_login: SECOND,
            scan: 10 * SECOND,
            late: 10 * SECOND,
            abuse: 10 * SECOND,
            least: 15 * SECOND,
            most: 600 * SECOND,
        },
        trust: 3600 * SECOND,
        max_sources: 1000,
        exempt: ["203.0.113.0/24".parse().unwrap()].into(),
        proxies: ["198.51.100.1".parse().unwrap()].into(),
        max_connections: 1000,
    }
}

fn state() -> AdmissionState {
    AdmissionState::new(settings())
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Returns the address of an unauthenticated client by number.
fn unknown_client(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

/// Fails one login per second until banned; returns the number of attempts and the ban.
fn fail_until_banned(state: &mut AdmissionState, from: IpAddr, now: &mut Duration) -> (u32, Ban) {
    for number in 1..1000 {
        *now += SECOND;
        if let Some(ban) = state.penalize(from, Offence::FailedLogin, 1, *now) {
            return (number, ban);
        }
    }
    panic!("never banned");
}

#[test]
fn strangers_are_dropped_as_sshd_drops_them() {
    let startups = settings().startups;
    for (waiting, percent) in [(9, 0), (10, 30), (55, 65), (99, 99), (100, 100), (500, 100)] {
        let dropped = (0..100)
            .filter(|roll| startups.drops(waiting, *roll))
            .count();
        assert_eq!(dropped, percent, "{waiting}");
    }
    let at_once = Startups {
        start: 10,
        rate: 100,
        full: 10,
    };
    assert!(!at_once.drops(9, 0) && at_once.drops(10, 99));
}

#[test]
fn a_source_has_so_many_places_and_gets_them_back() {
    let mut state = state();
    let from = unknown_client(1);
    let places: Vec<_> = (0..4)
        .map(|_| state.arrive(from, NOW, LUCKY).unwrap())
        .collect();
    assert_eq!(
        state.arrive(from, NOW, LUCKY).unwrap_err(),
        ConnectionRefusal::Source
    );
    assert!(state.arrive(unknown_client(2), NOW, LUCKY).is_ok());
    for place in &places {
        state.leave(place);
    }
    assert!(state.arrive(from, NOW, LUCKY).is_ok());
    assert_eq!(
        state.stats(NOW).refused,
        [("startups", 0), ("source", 1), ("banned", 0)]
    );
}

#[test]
fn networks_of_ipv6_and_addresses_of_ipv4_are_one_source() {
    let mut state = state();
    for host in 0..4 {
        let from = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, host, 1, 2, 3));
        state.arrive(from, NOW, LUCKY).unwrap();
    }
    assert!(
        state
            .arrive(address("2001:db8:0:7::9"), NOW, LUCKY)
            .is_err()
    );
    assert!(state.arrive(address("2001:db8:0:8::9"), NOW, LUCKY).is_ok());
    for _ in 0..4 {
        state
            .arrive(address("::ffff:192.0.2.1"), NOW, LUCKY)
            .unwrap();
    }
    assert!(state.arrive(address("192.0.2.1"), NOW, LUCKY).is_err());
    assert!(state.arrive(address("192.0.2.2"), NOW, LUCKY).is_ok());
}

#[test]
fn who_is_known_finds_room_beside_as_many_strangers_as_there_may_be() {
    let mut state = state();
    state.trust(address("192.0.2.1"), NOW);
    for number in 0..5000 {
        let _ = state.arrive(unknown_client(number), NOW, LUCKY);
    }
    assert_eq!(state.stats(NOW).waiting, 100);
    assert_eq!(
        state.arrive(unknown_client(6000), NOW, LUCKY).unwrap_err(),
        ConnectionRefusal::Startups
    );
    // More than an unknown source, but not all.
    let own = (0..100).filter(|_| state.arrive(address("192.0.2.1"), NOW, LUCKY).is_ok());
    assert_eq!(own.count(), 10);
    assert!(state.arrive(address("203.0.113.9"), NOW, LUCKY).is_ok());
}

#[test]
fn strangers_never_take_more_than_half_of_a_small_server() {
    for (max_connections, room) in [(1, 1), (2, 1), (10, 5), (1000, 100)] {
        let mut state = AdmissionState::new(AdmissionSettings {
            max_connections,
            ..settings()
        });
        let taken =
            (0..5000).filter(|number| state.arrive(unknown_client(*number), NOW, LUCKY).is_ok());
        assert_eq!(taken.count(), room, "{max_connections}");
    }
}

#[test]
fn balancers_that_say_nothing_are_bounded_and_keep_nobody_out() {
    let mut state = state();
    let balancer = address("198.51.100.1");
    assert!(state.is_proxy(balancer));
    let places: Vec<_> = (0..200)
        .map_while(|_| state.arrive_unnamed(balancer).ok())
        .collect();
    assert_eq!(places.len(), 100);
    assert!(state.arrive(unknown_client(1), NOW, LUCKY).is_ok());
    places.iter().for_each(|place| state.leave(place));
    assert!(state.arrive_unnamed(balancer).is_ok());
    assert_eq!(state.penalize(balancer, Offence::Abuse, 100, NOW), None);
}

#[test]
fn faults_add_up_to_a_ban_that_runs_down_and_is_longer_the_next_time() {
    let (mut state, mut now) = (state(), NOW);
    let (from, neighbour) = (unknown_client(1), unknown_client(2));
    let mut lengths = Vec::new();
    for _ in 0..8 {
        let (_, ban) = fail_until_banned(&mut state, from, &mut now);
        assert_eq!(ban.source, Network::around(from, 32));
        assert_eq!(
            state.arrive(from, now, LUCKY).unwrap_err(),
            ConnectionRefusal::Banned
        );
        assert!(
            state
                .arrive(neighbour, now, LUCKY)
                .map(|place| state.leave(&place))
                .is_ok()
        );
        assert_eq!(state.bans(now)[0].refused, 1);
        lengths.push(ban.left.as_secs());
        now += ban.left;
        let place = state.arrive(from, now, LUCKY).unwrap();
        state.leave(&place);
        assert_eq!(state.bans(now), []);
    }
    assert_eq!(lengths, [17, 19, 20, 40, 80, 160, 320, 600]);
    // After a long quiet time it starts anew.
    now += 3601 * SECOND;
    assert_eq!(
        fail_until_banned(&mut state, from, &mut now)
            .1
            .left
            .as_secs(),
        17
    );
}

#[test]
fn what_comes_seldom_bans_nobody() {
    let mut state = state();
    // A health check every two seconds, a wrong password every six.
    for tick in 0..100_000 {
        let now = NOW + SECOND * tick;
        if tick % 2 == 0 {
            assert_eq!(
                state.penalize(unknown_client(1), Offence::NoLogin, 1, now),
                None
            );
        }
        if tick % 6 == 0 {
            assert_eq!(
                state.penalize(unknown_client(2), Offence::FailedLogin, 1, now),
                None
            );
        }
    }
}

#[test]
fn a_login_forgives_and_protects_its_source() {
    let (mut state, mut now) = (state(), NOW);
    let office = unknown_client(1);
    fail_until_banned(&mut state, office, &mut now);
    state.trust(office, now);
    let place = state.arrive(office, now, LUCKY).unwrap();
    state.leave(&place);
    // A script fails all day; a user logs in once an hour.
    for minute in 0..24 * 60 {
        now += 60 * SECOND;
        assert_eq!(state.penalize(office, Offence::FailedLogin, 4, now), None);
        assert_eq!(state.penalize(office, Offence::Abuse, 1, now), None);
        if minute % 59 == 0 {
            let place = state.arrive(office, now, LUCKY).unwrap();
            state.leave(&place);
            state.trust(office, now);
        }
    }
    // Protection ends without further logins.
    now += 3601 * SECOND;
    assert!(
        state
            .penalize(office, Offence::FailedLogin, 4, now)
            .is_some()
    );
    assert!(state.arrive(office, now, LUCKY).is_err());
}

#[test]
fn exempt_networks_are_never_banned_and_an_exemption_ends_a_ban() {
    let mut state = state();
    assert_eq!(
        state.penalize(address("203.0.113.7"), Offence::Abuse, 100, NOW),
        None
    );
    assert!(
        state
            .penalize(unknown_client(1), Offence::Abuse, 100, NOW)
            .is_some()
    );
    assert!(state.arrive(unknown_client(1), NOW, LUCKY).is_err());
    state.set(AdmissionSettings {
        exempt: ["10.0.0.0/8".parse().unwrap()].into(),
        ..settings()
    });
    assert!(state.arrive(unknown_client(1), NOW, LUCKY).is_ok());
}

#[test]
fn bans_are_lifted_by_address_by_network_and_all() {
    let banned = |state: &AdmissionState| {
        let mut sources: Vec<_> =
            (state.bans(NOW).iter().map(|ban| ban.source.to_string())).collect();
        sources.sort();
        sources
    };
    let mut state = state();
    for from in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:1::1"] {
        assert!(
            state
                .penalize(address(from), Offence::Scan, 2, NOW)
                .is_some()
        );
    }
    let all = ["192.0.2.1", "192.0.2.2", "2001:db8:1::/64", "2001:db8::/64"];
    assert_eq!(banned(&state), all);
    let mut lift = |text: Option<&str>| {
        let lifted = state.lift(text.map(|text| text.parse().unwrap()), NOW);
        (lifted.len(), banned(&state).len())
    };
    assert_eq!(lift(Some("192.0.2.3")), (0, 4));
    assert_eq!(lift(Some("192.0.2.1")), (1, 3));
    // An address inside the banned network, and a network around one.
    assert_eq!(lift(Some("2001:db8::77")), (1, 2));
    assert_eq!(lift(Some("2001:db8::/32")), (1, 1));
    assert_eq!(lift(None), (1, 0));
    // Their penalties are cleared.
    assert_eq!(
        state.penalize(address("192.0.2.1"), Offence::Scan, 1, NOW),
        None
    );
}

#[test]
fn a_full_table_keeps_the_longest_bans_and_lets_the_others_go() {
    let mut state = state();
    assert!(
        state
            .penalize(unknown_client(1_000_000), Offence::Abuse, 50, NOW)
            .is_some()
    );
    for number in 0..5000 {
        state.penalize(unknown_client(number), Offence::Scan, 2, NOW + SECOND);
        let v6 = IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64));
        state.penalize(v6, Offence::Scan, 2, NOW + SECOND);
    }
    assert_eq!(state.remembered(), 2000);
    assert!(
        state
            .arrive(unknown_client(1_000_000), NOW + SECOND, LUCKY)
            .is_err()
    );
}

#[test]
fn penalties_can_be_turned_off() {
    let mut settings = settings();
    settings.penalties.enabled = false;
    let mut state = AdmissionState::new(settings);
    assert_eq!(
        state.penalize(unknown_client(1), Offence::Abuse, 1000, NOW),
        None
    );
    assert_eq!(state.remembered(), 0);
}

#[test]
fn what_is_known_outlives_a_restart() {
    let mut state = state();
    state.trust(unknown_client(1), NOW);
    state.trust(unknown_client(2), NOW - 7200 * SECOND);
    let known = state.known(NOW);
    assert_eq!(
        known,
        [(Network::around(unknown_client(1), 32), NOW.as_secs())]
    );
    let mut next = AdmissionState::new(settings());
    for (source, last) in known {
        next.recall(source, Duration::from_secs(last));
    }
    assert_eq!(
        next.penalize(unknown_client(1), Offence::Abuse, 10, NOW),
        None
    );
    assert!(
        next.penalize(unknown_client(2), Offence::Abuse, 10, NOW)
            .is_some()
    );
}

#[test]
fn tickets_give_their_places_back_once() {
    let admission = Arc::new(Admission::new(settings()));
    let waiting = || admission.stats().waiting;
    let ticket = admission.arrive(unknown_client(1)).unwrap();
    let balancer = admission.arrive_unnamed(address("198.51.100.1")).unwrap();
    assert_eq!(waiting(), 2);
    let named = balancer.named(unknown_client(2)).unwrap();
    assert_eq!(waiting(), 2);
    ticket.logged_in(false);
    assert_eq!(waiting(), 1);
    drop(ticket);
    drop(named);
    assert_eq!(waiting(), 0);
    // A source with a login is known; a guest's is not.
    admission.arrive(unknown_client(3)).unwrap().logged_in(true);
    let sources: Vec<_> = admission
        .known()
        .into_iter()
        .map(|(source, _)| source)
        .collect();
    assert_eq!(sources, [Network::around(unknown_client(1), 32)]);
}

#[derive(Debug, Clone)]
enum Step {
    Arrive(u32, u32),
    Leave(usize),
    Offend(u32, usize, u32),
    Trust(u32),
    Lift(u32),
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..20_u32, 0..100_u32).prop_map(|(from, roll)| Step::Arrive(from, roll)),
        any::<usize>().prop_map(Step::Leave),
        (0..20_u32, 0..5_usize, 0..5_u32)
            .prop_map(|(from, offence, times)| Step::Offend(from, offence, times)),
        (0..20_u32).prop_map(Step::Trust),
        (0..20_u32).prop_map(Step::Lift),
        (0..400_u32).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    /// In any sequence: the bounds hold, no slot is lost or created, no ban is too long or too short, and a
    /// ban never refuses a source with a recent login.
    #[test]
    fn the_bounds_hold_whatever_comes(steps in steps()) {
        let settings = AdmissionSettings { max_sources: 8, ..settings() };
        let (mut state, mut now) = (AdmissionState::new(settings.clone()), NOW);
        let mut places = Vec::new();
        let mut logins = std::collections::HashMap::new();
        for step in steps {
            match step {
                Step::Arrive(from, roll) => match state.arrive(unknown_client(from), now, roll) {
                    Ok(place) => places.push(place),
                    Err(ConnectionRefusal::Banned) => {
                        // The table of protected sources holds eight.
                        let latest = logins.values().filter(|last| *last > logins.get(&from).unwrap_or(&Duration::ZERO)).count();
                        let is_protected = logins.get(&from).is_some_and(|last| *last + settings.trust > now);
                        prop_assert!(!is_protected || latest >= 8);
                    }
                    Err(_) => {}
                },
                Step::Leave(which) if !places.is_empty() => {
                    let place = places.swap_remove(which % places.len());
                    state.leave(&place);
                }
                Step::Leave(_) => {}
                Step::Offend(from, offence, times) => {
                    let ban = state.penalize(unknown_client(from), Offence::ALL[offence], times, now);
                    if let Some(ban) = ban {
                        prop_assert!(ban.left >= settings.penalties.least && ban.left <= settings.penalties.most);
                    }
                }
                Step::Trust(from) => {
                    // Each at a time of its own.
                    now += Duration::from_millis(1);
                    state.trust(unknown_client(from), now);
                    logins.insert(from, now);
                }
                Step::Lift(from) => {
                    let network = Network::around(unknown_client(from), 32);
                    state.lift(Some(network), now);
                    prop_assert!(state.bans(now).iter().all(|ban| ban.source != network));
                }
                Step::Wait(seconds) => now += SECOND * seconds,
            }
            prop_assert_eq!(state.stats(now).waiting, places.len());
            prop_assert!(state.remembered() <= 3 * 8);
            prop_assert!(state.bans(now).iter().all(|ban| ban.left <= settings.penalties.most));
        }
        places.iter().for_each(|place| state.leave(place));
        prop_assert_eq!(state.stats(now).waiting, 0);
    }
}
