//! Who reaches whom.

/// Members of the largest cluster.
pub const MOST: usize = 4;
/// The functions that act.
pub const FUNCTIONS: usize = MOST;
/// `watch-clusters`, which may be in another zone.
pub const WATCH: usize = MOST + 1;
/// AWS's API, as members reach it.
pub const AWS: usize = MOST + 2;
/// The application.
pub const CLIENTS: usize = MOST + 3;
/// All of them.
pub const NODES: usize = MOST + 4;

/// Packets that are dropped, by direction. Cuts of several faults add up.
#[derive(Debug, Clone, Default)]
pub struct Network {
    cut: [[u8; NODES]; NODES],
}

impl Network {
    /// Whether packets pass from one to the other.
    #[must_use]
    pub fn passes(&self, from: usize, to: usize) -> bool {
        self.cut[from][to] == 0
    }

    /// Whether questions pass and answers come back.
    #[must_use]
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        self.passes(from, to) && self.passes(to, from)
    }

    /// Drops what goes from one to the other.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut[from][to] += 1;
    }

    /// Undoes one [`cut`](Self::cut).
    pub fn heal(&mut self, from: usize, to: usize) {
        self.cut[from][to] = self.cut[from][to].saturating_sub(1);
    }

    /// Undoes all.
    pub fn heal_all(&mut self) {
        self.cut = Default::default();
    }
}
