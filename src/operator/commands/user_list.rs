//! `landfall user list`: filters and sorts users, and fits the table to the terminal.

use std::cmp::Reverse;

use super::settings::{permissions, state};
use super::view::{last_login, origin, usage_cells, yes_or_no};
use crate::accounts::Details;
use crate::operator::cli::{UserList, UserOrder};
use crate::operator::output::{self, Column};
use crate::session::usage::AccountUsage;
use crate::values::time;

/// Filters and sorts users as the options say.
pub(super) fn chosen(mut users: Vec<AccountUsage>, list: &UserList) -> Vec<AccountUsage> {
    let now = time::now();
    users.retain(|user| {
        let user = &user.details;
        let state = state(&user.account.settings.rules);
        let idle = now.saturating_sub(user.last_used());
        (list.states.is_empty() || list.states.contains(&state))
            && list.inactive.is_none_or(|least| idle >= least)
    });
    // The sort is stable: equal users stay ordered by name.
    match list.sort {
        UserOrder::Name => {}
        UserOrder::Used => users.sort_by_key(|user| Reverse(user.used.map(|used| used.bytes))),
        UserOrder::LastLogin => users.sort_by_key(|user| Reverse(last_login_at(&user.details))),
        UserOrder::Created => users.sort_by_key(|user| Reverse(user.details.created_at)),
    }
    users
}

fn last_login_at(user: &Details) -> Option<i64> {
    user.last_login.as_ref().map(|login| login.at)
}

/// Formats the table for a terminal of this width.
pub(super) fn table(users: &[AccountUsage], list: &UserList, width: Option<usize>) -> String {
    if users.is_empty() {
        let all = list.states.is_empty() && list.inactive.is_none();
        return if all {
            "There are no users; add one with: landfall user add NAME\n".to_owned()
        } else {
            "No user matches\n".to_owned()
        };
    }
    // In display order; where there is no room, the column with the highest rank is dropped first.
    let columns = [
        ("NAME", 0),
        ("STATE", 1),
        ("LAST LOGIN", 2),
        ("USED", 3),
        ("QUOTA", 4),
        ("PASSWORD", 5),
        ("KEYS", 6),
        ("PERMISSIONS", 7),
        ("FILES", 9),
        ("OF", 10),
        ("ORIGIN", 11),
        ("CREATED", 8),
        ("HOME", 12),
    ];
    let columns = columns.map(|(title, rank)| Column { title, rank });
    let rows: Vec<_> = users.iter().map(row).collect();
    output::fitted(&columns, &rows, width)
}

fn row(user: &AccountUsage) -> [String; 13] {
    let [used, quota, files, max_files] = usage_cells(user);
    let user = &user.details;
    let rules = &user.account.settings.rules;
    [
        user.account.name.to_string(),
        state(rules).name().to_owned(),
        last_login(user),
        used,
        quota,
        yes_or_no(user.has_password),
        user.keys.to_string(),
        permissions(&rules.permissions).join("; "),
        files,
        max_files,
        origin(user).to_owned(),
        time::rfc3339(user.created_at),
        user.account.home.display().to_string(),
    ]
}
