//! The sentences of a report, computed from results: nothing is said that was not measured.

use crate::analysis::{Contest, Results, OURS};
use crate::metric::Metric;
use crate::settings::Effort;
use crate::stats::Estimate;
use crate::units;
use crate::workload::{Role, Workload};

/// What was measured, on what, when.
pub fn facts(results: &Results) -> Vec<(String, String)> {
    let header = results.header();
    let settings = &header.settings;
    let effort = match settings.effort {
        Effort::Full => "full",
        Effort::Quick => "quick: too short to be quoted",
        Effort::Smoke => "smoke: whether it works, no figures",
    };
    let machine = &header.machine;
    let facts = [
        ("date", header.date.clone()),
        ("commit", machine.commit.clone()),
        (
            "machine",
            format!(
                "{} cores, {}, {}",
                machine.cores, machine.processor, machine.kernel
            ),
        ),
        ("run", format!("{effort}; rounds: {}", settings.rounds)),
    ];
    facts
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
}

/// Where this project stands in a contest, in a sentence.
pub fn standing(results: &Results, contest: Contest) -> Option<String> {
    let (role, case) = contest;
    let metric = Metric::pictured(case.workload, role);
    let ranking = results.ranking(contest, metric);
    let place = ranking.iter().position(|(peer, _)| *peer == OURS)?;
    let own = ranking[place].1;
    let mut text = format!(
        "{case}: {OURS}'s {role} is number {} of {} with {}",
        place + 1,
        ranking.len(),
        amount(metric, &own)
    );
    let mut rivals = vec![];
    match ranking.iter().find(|(peer, _)| *peer != OURS) {
        Some((best, _)) if place == 0 => rivals.push(("the next", *best)),
        Some((best, _)) => rivals.push(("the best", *best)),
        None => {}
    }
    let ratios = rivals.into_iter().filter_map(|(which, peer)| {
        let ratio = results.ratio(contest, OURS, peer, metric)?;
        Some(format!("{} times {which}, {peer}", units::estimate(&ratio)))
    });
    let ratios: Vec<String> = ratios.collect();
    if !ratios.is_empty() {
        text += &format!("; {}", ratios.join(", "));
    }
    Some(text + ".")
}

fn amount(metric: Metric, estimate: &Estimate) -> String {
    let unit = metric.unit();
    let space = if unit.is_empty() || unit == "/s" {
        ""
    } else {
        " "
    };
    format!(
        "{}{space}{unit} ({})",
        units::number(estimate.median),
        metric.name()
    )
}

/// Every figure in which another one is better, by more than noise; the worst first.
pub fn losses(results: &Results) -> Vec<String> {
    let mut losses: Vec<(f64, String)> = Vec::new();
    for contest in results.contests() {
        let (role, case) = contest;
        let mut metrics = vec![Metric::pictured(case.workload, role)];
        // Of what is varied in many steps, one figure a step is enough.
        if case.point.is_none() {
            metrics.extend(Metric::of(case.workload, role).first());
            metrics.dedup();
        }
        for metric in metrics {
            losses.extend(loss(results, contest, metric));
        }
    }
    losses.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    losses.into_iter().map(|(_, text)| text).collect()
}

/// How far the best is ahead, and a sentence with all that are.
fn loss(results: &Results, contest: Contest, metric: Metric) -> Option<(f64, String)> {
    let (role, case) = contest;
    let behind = |peer: &str| {
        let (better, worse) = match metric.higher_is_better() {
            true => (peer, OURS),
            false => (OURS, peer),
        };
        // Above 1: so many times worse.
        results.ratio(contest, better, worse, metric)
    };
    let peers = results
        .peers(contest)
        .into_iter()
        .filter(|peer| *peer != OURS);
    let ahead = peers.filter_map(|peer| Some((peer, behind(peer)?)));
    let mut ahead: Vec<_> = ahead.filter(|(_, behind)| behind.low > 1.005).collect();
    ahead.sort_by(|(_, a), (_, b)| b.median.total_cmp(&a.median));
    let (_, most) = ahead.first()?;
    let list: Vec<String> = ahead
        .iter()
        .map(|(peer, behind)| format!("{peer} {}×", units::number(behind.median)))
        .collect();
    let text = format!(
        "{case} ({role}s), {}: better by {}",
        metric.name(),
        list.join(", ")
    );
    Some((most.median, text))
}

/// How it was done.
pub fn method(results: &Results) -> Vec<String> {
    let settings = &results.header().settings;
    let repetition = settings.effort.repetition();
    let mut method = vec![
        format!(
            "Each server is measured with the same load client, and each client with the same server ({}). Server and \
             client are processes of their own, started anew for every repetition, each on a core of its own, and \
             get the same flags (benches/peers/README.md says what those mean). Network: loopback.",
            settings.server
        ),
        "CPU time is read from the clocks of the two processes when the client is connected and warm, and again when \
         all calls have ended: neither start nor end is in it. Memory is the most that was ever resident, and threads \
         the most that were seen."
            .to_string(),
        format!(
            "{} rounds; in each, every peer has its turn, in an order that changes from round to round. Figures are \
             medians over the rounds, with the 95 % interval of a bootstrap in parentheses; ratios are taken within \
             a round first. There are fewer rounds over TLS, of what takes long, and with peers that are very slow; the \
             points of a curve have one.",
            settings.rounds
        ),
        "Every call has to end with OK and to bring every message, or the repetition is no figure. Before that, \
         servers and clients are checked with each other; a pair that fails gets no figure and is named. Node takes \
         part in these checks only."
            .to_string(),
    ];
    if let Some(seconds) = repetition {
        method.push(format!(
            "A repetition makes as many calls as last for {seconds} s with that peer: the shape of the load is the \
             same for all, and so is the time. A fifth of the calls are made before, to warm up."
        ));
    }
    let contests = results.contests();
    if contests.iter().any(|(role, _)| *role == Role::Server) {
        method.push(
            "The client for all servers is go, or tonic where messages are few or large: the h2 library under tonic \
             refuses servers that send every tiny message in a frame of its own (GOAWAY too_many_data_frames)."
                .to_string(),
        );
    }
    if contests
        .iter()
        .any(|(_, case)| case.workload == Workload::Timed)
    {
        method.push(
            "Lateness is how much later a response comes than its step says, at the client, of those responses that \
             were due after the last call had started."
                .to_string(),
        );
    }
    method
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::{results, twice_as_much};
    use crate::record::tests::run;

    #[test]
    fn a_loss_is_named_with_its_factor() {
        let losses = losses(&twice_as_much());
        assert_eq!(
            losses,
            ["tiny (servers), server CPU per message: better by go 2.00×"]
        );
    }

    #[test]
    fn no_loss_where_it_is_better_or_noise() {
        let better = [run(OURS, 0, 1_000), run("go", 0, 9_000)];
        assert!(losses(&results(better.into())).is_empty());
        let noise = [
            run(OURS, 0, 9),
            run("go", 0, 10),
            run(OURS, 1, 10),
            run("go", 1, 9),
        ];
        assert!(losses(&results(noise.into())).is_empty());
    }

    #[test]
    fn where_it_stands() {
        let results = twice_as_much();
        let text = standing(&results, results.contests()[0]).expect("a sentence");
        assert_eq!(
            text,
            "tiny: fanstream's server is number 2 of 2 with 4.00 µs (server CPU per message); 2.00 times the best, go."
        );
    }
}
