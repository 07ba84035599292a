//! The workloads and their goals.

use super::{CPU, Goal, LOGINS_AT_ONCE, Measure, THROUGHPUT, TRANSFERS_AT_ONCE, Workload};
use crate::common::client::{AES, CHACHA};
use crate::common::servers::Ability;
use crate::common::sizes::size;
use crate::floor::Floor;

/// All workloads, in the order of the table.
pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "get-aes",
        title: |scale| format!("get {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.2), Goal::AtMost(0.25)),
        needs: None,
        floor: Some(Floor::Get),
        once: false,
        verify: |bench| bench.verify_get(AES),
        run: |bench| bench.get(AES),
    },
    Workload {
        name: "put-aes",
        title: |scale| format!("put {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.4), Goal::AtMost(0.33)),
        needs: None,
        floor: Some(Floor::Put),
        once: false,
        verify: |bench| bench.verify_put(AES),
        run: |bench| bench.put(AES),
    },
    Workload {
        name: "get-chacha",
        title: |scale| format!("get {}, chacha20-poly1305", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.6)),
        needs: Some(Ability::ChaCha),
        floor: None,
        once: false,
        verify: |bench| bench.verify_get(CHACHA),
        run: |bench| bench.get(CHACHA),
    },
    Workload {
        name: "put-chacha",
        title: |scale| format!("put {}, chacha20-poly1305", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.6)),
        needs: Some(Ability::ChaCha),
        floor: None,
        once: false,
        verify: |bench| bench.verify_put(CHACHA),
        run: |bench| bench.put(CHACHA),
    },
    Workload {
        name: "scp-get",
        title: |scale| format!("scp -O download, {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.5)),
        needs: Some(Ability::Scp),
        floor: Some(Floor::Get),
        once: false,
        verify: |bench| bench.verify_scp_get(),
        run: |bench| bench.scp_get(),
    },
    Workload {
        name: "scp-put",
        title: |scale| format!("scp -O upload, {}, aes256-gcm", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(0.5)),
        needs: Some(Ability::Scp),
        floor: Some(Floor::Put),
        once: false,
        verify: |bench| bench.verify_scp_put(),
        run: |bench| bench.scp_put(),
    },
    Workload {
        name: "get-4",
        title: |scale| {
            format!(
                "{TRANSFERS_AT_ONCE} concurrent gets of {}",
                size(scale.size / 2)
            )
        },
        measures: &transfer_measures_of_many(Goal::AtLeast(1.4)),
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.verify_get(AES),
        run: |bench| bench.get_at_once(),
    },
    Workload {
        name: "put-4",
        title: |scale| {
            format!(
                "{TRANSFERS_AT_ONCE} concurrent puts of {}",
                size(scale.size / 2)
            )
        },
        measures: &transfer_measures_of_many(Goal::AtLeast(1.4)),
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.verify_put(AES),
        run: |bench| bench.put_at_once(),
    },
    Workload {
        name: "get-small",
        title: |scale| format!("get -r {} files of 4 KiB", scale.small_files),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.7)),
        }],
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.get_small().map(drop),
        run: |bench| bench.get_small(),
    },
    Workload {
        name: "put-small",
        title: |scale| format!("put -r {} files of 4 KiB", scale.small_files),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.7)),
        }],
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.put_small().map(drop),
        run: |bench| bench.put_small(),
    },
    Workload {
        name: "list",
        title: |scale| format!("ls -l of {} names", scale.names),
        measures: &[Measure {
            title: "s",
            goal: Some(Goal::AtMost(0.5)),
        }],
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.verify_list(),
        run: |bench| Ok(vec![bench.sftp(AES, "ls -l names")?.as_secs_f64()]),
    },
    Workload {
        name: "hash",
        title: |scale| format!("ssh HOST sha256sum, {}", size(scale.size)),
        measures: &transfer_measures(Goal::AtLeast(1.0), Goal::AtMost(1.0)),
        needs: Some(Ability::Sha256sum),
        floor: None,
        once: false,
        verify: |bench| bench.verify_hash(),
        run: |bench| bench.transfer(bench.scale.size, || bench.hash().map(|(time, _)| time)),
    },
    Workload {
        name: "login",
        title: |_| "log in, open sftp, quit".to_owned(),
        measures: &[Measure {
            title: "ms",
            goal: Some(Goal::AtMost(0.3)),
        }],
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.sftp(AES, "quit").map(drop),
        run: |bench| bench.log_in(),
    },
    Workload {
        name: "logins",
        title: |_| format!("{LOGINS_AT_ONCE} concurrent logins"),
        measures: &[
            Measure {
                title: "per second",
                goal: Some(Goal::AtLeast(4.0)),
            },
            Measure {
                title: "server CPU ms each",
                goal: None,
            },
        ],
        needs: None,
        floor: None,
        once: false,
        verify: |bench| bench.sftp(AES, "quit").map(drop),
        run: |bench| bench.log_in_at_once(),
    },
    Workload {
        name: "memory",
        title: |scale| format!("one of {} idle sessions", scale.sessions),
        measures: &[
            Measure {
                title: "PSS KiB",
                goal: Some(Goal::AtMost(0.05)),
            },
            Measure {
                title: "RSS KiB",
                goal: None,
            },
        ],
        needs: None,
        floor: None,
        once: true,
        verify: |_| Ok(()),
        run: |bench| bench.weigh_idle_sessions(),
    },
];

const fn transfer_measures(throughput: Goal, cpu: Goal) -> [Measure; 2] {
    [
        Measure {
            title: THROUGHPUT,
            goal: Some(throughput),
        },
        Measure {
            title: CPU,
            goal: Some(cpu),
        },
    ]
}

const fn transfer_measures_of_many(throughput: Goal) -> [Measure; 2] {
    [
        Measure {
            title: "MiB/s in total",
            goal: Some(throughput),
        },
        Measure {
            title: CPU,
            goal: None,
        },
    ]
}
