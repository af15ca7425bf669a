//! Figure 16 repeated: what the results depend on, the graphs, and the files.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{NodeId, PreVoting};
use raft_sim::elections::chart::Graph;
use raft_sim::elections::range::TimeoutRange;
use raft_sim::elections::summary::{Report, Summary};
use raft_sim::elections::timing::{OwnVote, Timing};
use raft_sim::elections::trial::Outcome;
use raft_sim::elections::{self, Request, Sample};
use std::path::PathBuf;
use std::process::{Command, Output};

const FIXED: TimeoutRange = TimeoutRange::TOP[0];
const NARROW: TimeoutRange = TimeoutRange::TOP[2];
const WIDE: TimeoutRange = TimeoutRange::TOP[5];
const SHORT: TimeoutRange = TimeoutRange::BOTTOM[0];

fn request(trials: u32) -> Request {
    Request {
        seed: 7,
        trials,
        timing: Timing::new(Timing::PAPER),
        own_vote: OwnVote::Awaited,
        pre_vote: PreVoting::Off,
        limit: Duration::from_secs(10),
    }
}

fn run(request: &Request, ranges: &[TimeoutRange]) -> Vec<Sample> {
    elections::run(request, ranges).expect("every trial can be made")
}

fn outcomes(request: &Request, range: TimeoutRange) -> Vec<Outcome> {
    run(request, &[range]).remove(0).outcomes
}

fn table(request: &Request, threads: usize) -> String {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let samples = pool.unwrap().install(|| run(request, &TimeoutRange::all()));
    Report::new(*request, &samples).to_string()
}

#[test]
fn a_seed_gives_the_same_table_on_any_number_of_threads() {
    let one = table(&request(20), 1);
    assert_eq!(one, table(&request(20), 2));
    let mut other = request(20);
    other.seed = 8;
    let numbers = |table: &str| table.lines().nth(6).map(str::to_owned);
    assert_ne!(numbers(&one), numbers(&table(&other, 2)));
}

#[test]
fn a_range_alone_is_what_it_is_among_others() {
    let all = run(&request(5), &TimeoutRange::all());
    let wide = all.iter().find(|sample| sample.range == WIDE);
    assert_eq!(wide, run(&request(5), &[WIDE]).first());
}

#[test]
fn more_randomness_shortens_the_tail() {
    for own_vote in [OwnVote::Awaited, OwnVote::Overlapped] {
        let request = Request {
            own_vote,
            limit: Duration::from_secs(100),
            ..request(60)
        };
        let samples = run(&request, &[NARROW, WIDE]);
        let [narrow, wide] = [&samples[0], &samples[1]].map(Summary::new);
        assert_eq!((narrow.elected, wide.elected), (60, 60));
        let (narrow, wide) = (narrow.p90.unwrap(), wide.p90.unwrap());
        assert!(narrow > wide * 2, "{own_vote}: {narrow:?}, {wide:?}");
    }
}

#[test]
fn requests_that_wait_for_no_write_split_fewer_votes() {
    let awaited = request(100);
    let overlapped = Request {
        own_vote: OwnVote::Overlapped,
        ..awaited
    };
    let [awaited, overlapped] = [awaited, overlapped].map(|request| {
        let samples = run(&request, &[NARROW]);
        Summary::new(&samples[0]).mean_elections
    });
    assert!(awaited > 2.0 * overlapped, "{awaited} {overlapped}");
}

#[test]
fn servers_whose_logs_are_too_short_never_lead() {
    let mut won = [0; 6];
    for outcome in outcomes(&request(100), WIDE) {
        won[outcome.leader.expect("it elects one").0 as usize] += 1;
    }
    assert_eq!(won[..4], [0; 4], "n1 crashed; n2 and n3 get one vote more");
    assert!(won[4] > 10 && won[5] > 10, "{won:?}");
}

#[test]
fn the_leader_crashes_at_any_time_within_half_of_the_least_timeout() {
    let outcomes = outcomes(&request(200), WIDE);
    let first = outcomes.iter().filter(|outcome| outcome.elections == 1);
    let times: Vec<Duration> = first.filter_map(|outcome| outcome.downtime).collect();
    let (min, max) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let ms = Duration::from_millis;
    // A timeout, less at most 75 ms, and then two writes and three messages.
    assert!((ms(75 + 16)..ms(130)).contains(min), "{min:?}");
    assert!((ms(200)..ms(300 + 40)).contains(max), "{max:?}");
}

#[test]
fn equal_timeouts_that_elect_nobody_are_shown_as_such() {
    let mut request = request(150);
    // The first votes are split, after which syncs of different lengths part the candidates.
    request.limit = Duration::from_millis(250);
    let samples = run(&request, &[FIXED]);
    let summary = Summary::new(&samples[0]);
    assert_eq!((summary.trials, summary.elected), (100, 0));
    assert_eq!((summary.min, summary.mean, summary.max), (None, None, None));
    // A split vote 150 ms after the crash, and the one before that elected the first leader.
    assert_eq!(summary.max_elections, 2);
    let report = Report::new(request, &samples);
    let row = report.to_string().lines().nth(1).unwrap().to_owned();
    assert!(row.contains("100       0        -        -"), "{row}");
    assert_eq!(
        report.json()["ranges"][0]["without_leader_ms"]["max"],
        serde_json::Value::Null
    );
}

#[test]
fn percentiles_are_nearest_ranks_and_trials_without_a_leader_are_the_longest() {
    let outcome = |millis: Option<u64>| Outcome {
        downtime: millis.map(Duration::from_millis),
        leader: millis.map(|_| NodeId(5)),
        elections: millis.unwrap_or(300),
    };
    let mut sample = Sample {
        range: WIDE,
        outcomes: (1..=200).rev().map(|at| outcome(Some(at))).collect(),
    };
    let ms = |millis| Some(Duration::from_millis(millis));
    let summary = Summary::new(&sample);
    assert_eq!((summary.min, summary.median), (ms(1), ms(100)));
    assert_eq!((summary.p90, summary.p99), (ms(180), ms(198)));
    assert_eq!(summary.max, ms(200));
    assert_eq!(summary.mean, Some(Duration::from_micros(100_500)));
    assert_eq!(
        (summary.mean_elections, summary.max_elections),
        (100.5, 200)
    );
    sample.outcomes[0] = outcome(None);
    let summary = Summary::new(&sample);
    assert_eq!((summary.p99, summary.max), (ms(198), None));
    assert_eq!((summary.mean, summary.elected), (None, 199));
}

#[test]
fn pre_vote_elects_too() {
    let request = Request {
        pre_vote: PreVoting::On,
        ..request(50)
    };
    let outcomes = outcomes(&request, SHORT);
    assert!(outcomes.iter().all(|outcome| outcome.downtime.is_some()));
    assert_ne!(outcomes, self::outcomes(&self::request(50), SHORT));
}

/// The texts between the tags of `svg`. Panics if tags do not match, or if it is no XML.
fn texts(svg: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some((text, tail)) = rest.split_once('<') {
        assert!(!text.contains('>'), "{text}");
        assert!(!open.is_empty() || text.trim().is_empty(), "{text}");
        texts.push(text.trim().to_owned());
        let (tag, tail) = tail.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains('<'), "{tag}");
        rest = tail;
        let name = tag.trim_start_matches('/').split_whitespace().next();
        let name = name.unwrap().trim_end_matches('/');
        if tag.starts_with(['?', '!']) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    texts
}

#[test]
fn the_graphs_are_well_formed_and_show_every_curve() {
    let mut request = request(20);
    request.own_vote = OwnVote::Overlapped;
    request.limit = Duration::from_secs(1); // Some curves do not reach the top.
    let samples = run(&request, &TimeoutRange::all());
    for graph in Graph::ALL {
        let svg = graph.draw(&request, &samples).unwrap();
        let texts = texts(&svg);
        let shows = |text: &str| texts.iter().any(|shown| shown == text);
        assert!(shows(graph.title) && shows("100%"), "{texts:?}");
        // What it takes to draw the same graph again.
        let settings = texts
            .iter()
            .find(|text| text.starts_with("broadcast time 15ms"));
        let settings = settings.unwrap_or_else(|| panic!("{texts:?}"));
        for part in [
            "seed 7",
            "20 trials",
            "own vote overlapped",
            "without Pre-Vote",
        ] {
            assert!(settings.contains(part), "{settings}");
        }
        assert!(
            shows("10") && shows("1,000") && shows("100,000"),
            "{texts:?}"
        );
        for range in graph.ranges {
            assert!(shows(&format!("{range} ms")), "{range}: {texts:?}");
        }
        // Curves go on to the end of the axis. The legend has a short line for each of them.
        let lines = svg.split("stroke-width=\"2\" points=\"").skip(1);
        let ends = lines.filter_map(|line| line.split('"').next()?.split_whitespace().last());
        let ends: Vec<&str> = ends.collect();
        let at_the_end = ends.iter().filter(|end| end.starts_with("919,"));
        assert_eq!(at_the_end.count(), graph.ranges.len(), "{ends:?}");
        assert_eq!(ends.len(), 2 * graph.ranges.len());
    }
}

fn raft_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .arg("elections")
        .args(arguments)
        .output()
        .expect("the binary was built with this test")
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("raft-sim-elections-{name}-{}", std::process::id()))
}

#[test]
fn the_command_writes_both_graphs_and_json() {
    let folder = temporary("figures").join("deeper");
    let path = folder.to_str().expect("temporary paths are text here");
    let arguments = ["--trials", "2", "--limit", "2s", "--json", "--svg", path];
    let output = raft_sim(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ranges"].as_array().map(Vec::len), Some(10));
    assert_eq!(json["ranges"][5]["range"], "150-300");
    assert_eq!(json["ranges"][5]["trials"], 2);
    for graph in Graph::ALL {
        let svg = std::fs::read_to_string(folder.join(graph.file)).unwrap();
        assert!(texts(&svg).contains(&String::from(graph.title)));
    }
    assert_eq!(raft_sim(&arguments).stdout, output.stdout);
    std::fs::remove_dir_all(temporary("figures")).expect("it is ours");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_before_the_work() {
    let file = temporary("file");
    std::fs::write(&file, "not a folder").unwrap();
    let folder = file.join("figures");
    let output = raft_sim(&["--trials", "100000", "--svg", folder.to_str().unwrap()]);
    std::fs::remove_file(&file).expect("it is ours");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("--svg: cannot write"), "{text}");
    assert!(text.contains(folder.to_str().unwrap()), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn arguments_out_of_range_name_the_range() {
    let cases: [(&[&str], &str); 5] = [
        (&["--trials", "0"], "1..=100000"),
        (&["--limit", "0s"], "a run of no time"),
        (&["--broadcast-time", "0ms"], "from 10us to 60s"),
        (&["--broadcast-time", "15"], "such as 15ms or 500us"),
        (&["--own-vote", "never"], "awaited, overlapped"),
    ];
    for (arguments, hint) in cases {
        let output = raft_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(hint), "{arguments:?}: {text}");
    }
}
