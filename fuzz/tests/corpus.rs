//! Every target with every input that is kept, then with mutations of them: without libFuzzer, which
//! `cargo xtask fuzz` runs.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xdhcpd_fuzz::{TARGETS, Target};
use xdhcpd_tests::Campaign;

/// Mutations of each target.
const SHORT: u64 = 300;
const LONG: u64 = 200_000;
const LONGEST: usize = 8192;

#[test]
fn whatever_comes_in() -> Result<()> {
    let campaign = Campaign::from_env();
    let (mut times, mut failed) = (0, Vec::new());
    for target in TARGETS {
        match try_all(target, &campaign) {
            Ok(tried) => times += tried,
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    let checked = format!("kept inputs of {} targets, and mutations", TARGETS.len());
    let lost = failed.len() as u64;
    campaign.tell(
        "hostile bytes, without coverage",
        times,
        &checked,
        lost,
        "-",
    );
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

/// How many inputs it were.
fn try_all(target: &Target, campaign: &Campaign) -> Result<u64> {
    let kept = kept(target)?;
    ensure!(!kept.is_empty(), "nothing is kept for {}", target.name);
    for (file, input) in &kept {
        bears(target, input).with_context(|| format!("the input is {}", file.display()))?;
    }
    let mutated = mutate_all(target, &kept, campaign)?;
    Ok(kept.len() as u64 + mutated)
}

fn mutate_all(target: &Target, kept: &[(PathBuf, Vec<u8>)], campaign: &Campaign) -> Result<u64> {
    let times = campaign.times(SHORT, LONG);
    let mut random = Random(campaign.seed);
    for number in 0..times {
        let (_, input) = &kept[random.below(kept.len())];
        let (_, other) = &kept[random.below(kept.len())];
        let input = mutated(input, other, &mut random);
        bears(target, &input).with_context(|| {
            let file = failed(target, &input);
            format!(
                "mutation {number} of seed {}: kept in {}",
                campaign.seed,
                file.display()
            )
        })?;
    }
    Ok(times)
}

/// The error has what the target said.
fn bears(target: &Target, input: &[u8]) -> Result<()> {
    let run = || (target.run)(input);
    let ended = catch_unwind(AssertUnwindSafe(run));
    ended.map_err(|_| anyhow::anyhow!("{} does not bear {}", target.name, input.escape_ascii()))
}

/// Where the input lies that a target did not bear.
fn failed(target: &Target, input: &[u8]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("failed-{}", target.name));
    let _ = fs::write(&file, input);
    file
}

fn kept(target: &Target) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut files: Vec<PathBuf> = fs::read_dir(&directory)
        .with_context(|| format!("no {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let read = |file: PathBuf| fs::read(&file).map(|bytes| (file, bytes));
    Ok(files.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// Changes an input in one to four ways.
fn mutated(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let most = 1 << random.below(7);
        let len = random.below(most).min(bytes.len() - at);
        let from = random.below(other.len());
        match random.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = ODD[random.below(ODD.len())],
            3 => drop(bytes.drain(at..at + len)),
            4 => drop(bytes.splice(at..at, std::iter::repeat_n(random.next() as u8, len))),
            5 => {
                let part = bytes[at..at + len].to_vec();
                let to = random.below(bytes.len());
                drop(bytes.splice(to..to, part));
            }
            6 => {
                let part = &other[from..other.len().min(from + 64)];
                drop(bytes.splice(at..at + len, part.iter().copied()));
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Bytes that mean something somewhere.
const ODD: [u8; 16] = [
    0, 1, 2, 4, 50, 53, 54, 61, 82, 0x7f, 0x80, 0xc0, 0xfe, 0xff, b'"', b'\'',
];

/// Numbers that are the same for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `end` - 1; 0 if `end` is 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}
