//! The sentences of a report, all computed from results.

use crate::analysis::{is_variant, Contest, Results, OURS};
use crate::metric::Metric;
use crate::settings::Effort;
use crate::stats::{Estimate, ENOUGH_ROUNDS};
use crate::units;
use crate::workload::{Role, Workload};

/// The date, commit, machine and settings of the run.
pub fn facts(results: &Results) -> Vec<(String, String)> {
    let header = results.header();
    let settings = &header.settings;
    let effort = match settings.effort {
        Effort::Full => "full",
        Effort::Quick => "quick: too short to quote",
        Effort::Smoke => "smoke: checks only, no figures",
    };
    let rounds = match settings.rounds.max(settings.max_rounds) {
        max if max > settings.rounds => format!("{}, for claims up to {max}", settings.rounds),
        _ => settings.rounds.to_string(),
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
        ("run", format!("{effort}; rounds: {rounds}")),
    ];
    facts
        .map(|(name, value)| (name.to_string(), value))
        .to_vec()
}

/// A sentence on this project's rank in a contest.
pub fn standing(results: &Results, contest: Contest) -> Option<String> {
    let (role, case) = contest;
    let metric = Metric::pictured(case.workload, role);
    let mut ranking = results.ranking(contest, metric);
    ranking.retain(|(name, _)| !is_variant(name));
    let place = ranking
        .iter()
        .position(|(implementation, _)| *implementation == OURS)?;
    let own = ranking[place].1;
    let mut text = format!(
        "{case}: {OURS}'s {role} is number {} of {} with {}",
        place + 1,
        ranking.len(),
        amount(metric, &own)
    );
    let mut rivals = vec![];
    match ranking
        .iter()
        .find(|(implementation, _)| *implementation != OURS)
    {
        Some((best, _)) if place == 0 => rivals.push(("the next", *best)),
        Some((best, _)) => rivals.push(("the best", *best)),
        None => {}
    }
    let ratios = rivals.into_iter().filter_map(|(which, implementation)| {
        let ratio = results.ratio(contest, OURS, implementation, metric)?;
        Some(format!(
            "{} times {which}, {implementation}",
            units::estimate(&ratio)
        ))
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

/// Every figure in which another implementation is better by more than noise, the worst first.
pub fn losses(results: &Results) -> Vec<String> {
    let mut losses: Vec<(f64, String)> = Vec::new();
    for contest in results.contests() {
        let (role, case) = contest;
        let has_points = !matches!(case.workload, Workload::Timed | Workload::First);
        if !has_points && case.is_only_a_point() {
            continue;
        }
        let mut metrics = vec![Metric::pictured(case.workload, role)];
        // A workload with many points gets one figure a point.
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

/// The lead of the best implementation, and a sentence with all that are ahead.
fn loss(results: &Results, contest: Contest, metric: Metric) -> Option<(f64, String)> {
    let (role, case) = contest;
    let behind = |implementation: &str| {
        let (better, worse) = match metric.higher_is_better() {
            true => (implementation, OURS),
            false => (OURS, implementation),
        };
        // Above 1 means worse by that factor.
        results.ratio(contest, better, worse, metric)
    };
    let implementations = results
        .implementations(contest)
        .into_iter()
        // Programs of scripts/release stand beside this project's own in the second map.
        .filter(|name| *name != OURS && !is_variant(name));
    let ahead = implementations
        .filter_map(|implementation| Some((implementation, behind(implementation)?)));
    let mut ahead: Vec<_> = ahead.filter(|(_, behind)| behind.low > 1.005).collect();
    ahead.sort_by(|(_, a), (_, b)| b.median.total_cmp(&a.median));
    let (_, most) = ahead.first()?;
    let list: Vec<String> = ahead
        .iter()
        .map(|(implementation, behind)| {
            let mark = units::mark(behind);
            format!("{implementation} {mark}{}×", units::number(behind.median))
        })
        .collect();
    let text = format!(
        "{case} ({role}s), {}: better by {}",
        metric.name(),
        list.join(", ")
    );
    Some((most.median, text))
}

/// The method, in sentences.
pub fn method(results: &Results) -> Vec<String> {
    let settings = &results.header().settings;
    let repetition = settings.effort.repetition();
    let mut method = vec![
        format!(
            "Each server is measured with the same load client, and each client with the same server ({}). Server and \
             client are separate processes, started for every repetition on a core each, with the same flags \
             (benches/README.md). Network: loopback.",
            settings.server
        ),
        "CPU time is read from the clocks of the two processes when the client is connected and warm, and again when \
        all calls have ended, so start-up and exit are excluded. Memory is the peak of resident memory; threads are \
        the peak of samples every 20 ms."
            .to_string(),
        format!(
            "{} rounds, each with every implementation in another order. TLS, long cases and very slow implementations \
             have fewer, and so have the points of a curve. Figures are medians over the rounds, with the 95 % interval \
             of a bootstrap in parentheses.",
            settings.rounds
        ),
        format!(
            "Ratios are taken within a round, so that slow changes of the machine affect both sides. From \
             {ENOUGH_ROUNDS} rounds on, the figure is the mean of the rounds' ratios (of their logarithms) without the \
             lowest and the highest, with the 95 % interval of Student's t for trimmed means (Tukey and McLaughlin): it \
             uses more of the rounds than a median does, and one round that is far off does not move it. Of fewer \
             rounds, the figure is the median, and the parentheses hold the range, which contains the true ratio less \
             often."
        ),
        "Memory is the peak, which hardly varies: the few rounds of `timed` are enough for it.".to_string(),
        "A repetition counts only if every call ends with OK and delivers all messages. Before that, servers and \
        clients are checked with each other; a pair that fails gets no figure and is listed. Node takes part in \
        these checks only."
            .to_string(),
    ];
    if settings.max_rounds > settings.rounds {
        method.push(format!(
            "The verdict and the goals rest on ratios to few implementations. Those, and this project, take extra \
             rounds until the interval of each such ratio is within ±5 %, {ENOUGH_ROUNDS} at least and {} at most. \
             Stopping at a narrow interval makes it somewhat too narrow: in simulations, such intervals contain the \
             true ratio in 93 to 95 of 100 runs.",
            settings.max_rounds
        ));
    }
    if let Some(seconds) = repetition {
        method.push(format!(
            "The number of calls is chosen so that a repetition lasts {seconds} s: all implementations have the same shape of \
             load for the same time, half as long at the points of sizes and streams. A fifth as many calls warm up."
        ));
    }
    if repetition.is_some() && results.header().versions.contains_key("java") {
        method.push(
            "java is measured when its compiler has optimised the code: about twenty seconds of calls warm it up. \
            Cold, a message costs it several times as much."
                .to_string(),
        );
    }
    let contests = results.contests();
    if contests.iter().any(|(role, _)| *role == Role::Server) {
        method.push(
            "The client for all servers is go, or tonic if messages are few or large: the h2 library under tonic \
            refuses servers that send every tiny message in its own frame (GOAWAY too_many_data_frames)."
                .to_string(),
        );
    }
    if contests
        .iter()
        .any(|(_, case)| case.workload == Workload::Timed)
    {
        method.push(
            "Lateness is the delay of a response at the client beyond its due time. It counts only responses that \
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
    fn the_rank_is_a_sentence() {
        let results = twice_as_much();
        let text = standing(&results, results.contests()[0]).expect("a sentence");
        assert_eq!(
            text,
            "tiny: fanstream's server is number 2 of 2 with 4.00 µs (server CPU per message); 2.00 times the best, go."
        );
    }
}
