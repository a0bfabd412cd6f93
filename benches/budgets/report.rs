//! Summarises and prints measurements. It measures nothing.

/// Prints the heading of a budget.
pub fn heading(name: &str, title: &str) {
    println!("\n== {name}: {title}");
}

/// Prints a target and its verdict.
pub fn target(text: &str, met: bool) {
    let verdict = if met { "met" } else { "NOT met" };
    println!("target: {text}: {verdict}");
}

/// Converts bytes to MB of 10^6.
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The median, minimum and maximum of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Without numbers, all fields are NaN, which meets no target.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let n = sorted.len();
        Spread {
            median: (at(n.saturating_sub(1) / 2) + at(n / 2)) / 2.0,
            min: at(0),
            max: at(n.saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Spread { median, min, max } = self;
        write!(f, "{median:.2} ({min:.2} to {max:.2})")
    }
}

/// The numbers of two variants, one pair a round.
pub struct Pairs<'a> {
    pub names: [&'a str; 2],
    pub unit: &'a str,
    pub rounds: Vec<[f64; 2]>,
}

impl<'a> Pairs<'a> {
    /// Measures both variants in each round, in alternating order, so that other load on the
    /// machine affects both.
    pub fn measure<E>(
        names: [&'a str; 2],
        unit: &'a str,
        rounds: u32,
        mut measure: impl FnMut(usize) -> Result<f64, E>,
    ) -> Result<Pairs<'a>, E> {
        let mut pairs = Pairs {
            names,
            unit,
            rounds: Vec::new(),
        };
        for round in 0..rounds {
            let mut pair = [0.0; 2];
            for turn in 0..2 {
                let variant = (turn + round as usize) % 2;
                pair[variant] = measure(variant)?;
            }
            println!(
                "round {}: {} {:.3} {unit}, {} {:.3} {unit}",
                round + 1,
                names[0],
                pair[0],
                names[1],
                pair[1]
            );
            pairs.rounds.push(pair);
        }
        Ok(pairs)
    }

    /// The numbers of one variant.
    pub fn of(&self, variant: usize) -> Spread {
        Spread::of(self.rounds.iter().map(|pair| pair[variant]))
    }

    /// The ratio of the second variant to the first, round by round.
    pub fn ratio(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|[first, second]| second / first))
    }

    /// Prints both variants and their ratio: median, minimum and maximum.
    pub fn print(&self) {
        let [first, second] = self.names;
        let unit = self.unit;
        println!("{first}: {} {unit}", self.of(0));
        println!("{second}: {} {unit}", self.of(1));
        println!("{second} / {first}, round by round: {}", self.ratio());
        // Disturbances only ever add to a round.
        let least = self.of(1).min / self.of(0).min;
        println!("{second} / {first}, minimum by minimum: {least:.2}");
    }
}
