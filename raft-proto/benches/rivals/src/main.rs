//! A benchmark of consensus libraries, this project's core among them: three or five nodes in one
//! process, in memory, on one thread. Messages are handed over by direct call. See README.md.
mod alloc;
mod cluster;
mod libs;
mod report;
mod workload;

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use workload::{Case, Selection};

#[global_allocator]
static ALLOC: alloc::Counting = alloc::Counting;

/// Runs a case in a process of its own, and returns its line of JSON; `None` if it failed.
fn run_in_process(case: &Case) -> Option<String> {
    let numbers = [
        case.nodes,
        case.window,
        case.size,
        case.entries as usize,
        case.reps,
    ];
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("case")
        .args([&case.lib, &case.workload])
        .args(numbers.map(|n| n.to_string()))
        // Keep glibc from giving memory back and faulting it in again every round: with payloads of
        // 4 KiB that alone would be most of the time.
        .env("MALLOC_TRIM_THRESHOLD_", "1073741824")
        .env("MALLOC_MMAP_THRESHOLD_", "33554432")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    if !output.status.success() {
        eprintln!(
            "failed: {} {} w={} p={}",
            case.lib, case.workload, case.window, case.size
        );
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// Runs the cases of the named libraries, and returns their lines of JSON.
fn run_all(libs: &[&str], selection: Selection, reps: usize, out: Option<&String>) -> Vec<String> {
    let mut file = out.map(|path| {
        let mut options = OpenOptions::new();
        options.append(true).create(true).open(path).unwrap()
    });
    let mut lines = Vec::new();
    for case in workload::cases(libs, selection, reps) {
        if let Some(line) = run_in_process(&case) {
            println!("{line}");
            if let Some(file) = &mut file {
                writeln!(file, "{line}").unwrap();
            }
            lines.push(line);
        }
    }
    report::table(&lines);
    lines
}

fn usage() -> ExitCode {
    eprintln!(
        "rivals all [REPS [OUT.jsonl]]      every library, every case\n\
         rivals targets [REPS [OUT.jsonl]]  every library, the cases with a target;\n\
         {:35}exit code 1 if a target is missed\n\
         rivals LIB [REPS [OUT.jsonl]]      one library, every case\n\
         rivals case LIB core|catchup NODES WINDOW SIZE ENTRIES REPS\n\
         rivals table FILE.jsonl            the table and the targets of an earlier run\n\
         REPS: timed runs of each case (default 5)\n\
         LIB: {}",
        "",
        libs::names().join(" ")
    );
    ExitCode::from(2)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let names = libs::names();
    let number = |i: usize| args[i].parse::<usize>().unwrap();
    let reps = if args.len() > 1 {
        args[1].parse()
    } else {
        Ok(5)
    };
    let out = args.get(2);
    let met = match (args.first().map(String::as_str), reps) {
        (Some("case"), _) if args.len() == 8 => {
            let case = Case {
                lib: args[1].clone(),
                workload: args[2].clone(),
                nodes: number(3),
                window: number(4),
                size: number(5),
                entries: number(6) as u64,
                reps: number(7),
            };
            println!("{}", workload::run(&case));
            true
        }
        (Some("table"), _) if args.len() == 2 => {
            let text = std::fs::read_to_string(&args[1]).unwrap();
            let lines: Vec<String> = text.lines().map(String::from).collect();
            report::table(&lines);
            report::targets(&lines)
        }
        (Some("all"), Ok(reps)) => report::targets(&run_all(&names, Selection::All, reps, out)),
        (Some("targets"), Ok(reps)) => {
            report::targets(&run_all(&names, Selection::Targets, reps, out))
        }
        (Some(lib), Ok(reps)) if names.contains(&lib) => {
            run_all(&[lib], Selection::All, reps, out);
            true
        }
        _ => return usage(),
    };
    ExitCode::from(u8::from(!met))
}
