//! Who reaches whom: a directed graph of a few servers.

use core::fmt;

/// The most servers of a graph.
pub const MAX_NODES: u8 = 5;

/// Which of `nodes` servers reaches which directly. Messages are not passed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Graph {
    nodes: u8,
    /// One bit for each ordered pair of servers.
    links: u32,
}

impl Graph {
    /// All of `nodes` servers reach each other. `nodes` is 1 to [`MAX_NODES`]; another number is
    /// taken for the nearest of these.
    pub fn full(nodes: u8) -> Graph {
        let nodes = nodes.clamp(1, MAX_NODES);
        let links = (1 << Graph::pairs(nodes)) - 1;
        Graph { nodes, links }
    }

    /// How many ordered pairs there are.
    fn pairs(nodes: u8) -> u32 {
        u32::from(nodes) * (u32::from(nodes) - 1)
    }

    /// The bit of the link from one server to another; `None` for that of a server to itself.
    fn bit(self, from: u8, to: u8) -> Option<u32> {
        let is_link = from != to && from < self.nodes && to < self.nodes;
        let place = from * (self.nodes - 1) + to - u8::from(to > from);
        is_link.then(|| 1 << place)
    }

    /// How many servers there are. They are numbered from 0.
    pub fn nodes(self) -> u8 {
        self.nodes
    }

    /// How many servers are a majority.
    pub fn majority(self) -> usize {
        usize::from(self.nodes) / 2 + 1
    }

    /// Whether messages of `from` arrive at `to`.
    pub fn has(self, from: u8, to: u8) -> bool {
        self.bit(from, to).is_some_and(|bit| self.links & bit != 0)
    }

    /// Without the link from `from` to `to`.
    #[must_use]
    pub fn without(self, from: u8, to: u8) -> Graph {
        let links = self.links & !self.bit(from, to).unwrap_or(0);
        Graph { links, ..self }
    }

    /// Every ordered pair of different servers.
    fn all_pairs(self) -> impl Iterator<Item = (u8, u8)> {
        let nodes = self.nodes;
        (0..nodes).flat_map(move |from| (0..nodes).map(move |to| (from, to)))
    }

    /// The same graph with other numbers: server `i` becomes `names[i]`.
    fn renamed(self, names: &[u8]) -> Graph {
        let mut links = 0;
        for (from, to) in self.all_pairs().filter(|(from, to)| self.has(*from, *to)) {
            let name = |node: u8| names.get(usize::from(node)).copied().unwrap_or(node);
            links |= self.bit(name(from), name(to)).unwrap_or(0);
        }
        Graph { links, ..self }
    }

    /// One graph of each class of those that differ in their servers' numbers only: 16 for three
    /// servers, 218 for four, 9,608 for five.
    pub fn classes(nodes: u8) -> Vec<Graph> {
        let full = Graph::full(nodes);
        let names = permutations(full.nodes);
        let mut is_known = vec![false; full.links as usize + 1];
        let mut classes = Vec::new();
        for links in 0..=full.links {
            if is_known.get(links as usize).copied().unwrap_or(true) {
                continue;
            }
            let graph = Graph { links, ..full };
            classes.push(graph);
            for names in &names {
                let same = graph.renamed(names).links as usize;
                if let Some(known) = is_known.get_mut(same) {
                    *known = true;
                }
            }
        }
        classes
    }

    /// Every graph, also those that differ in their servers' numbers only.
    pub fn all(nodes: u8) -> impl Iterator<Item = Graph> {
        let full = Graph::full(nodes);
        (0..=full.links).map(move |links| Graph { links, ..full })
    }

    fn is_both_ways(self, one: u8, other: u8) -> bool {
        one == other || self.has(one, other) && self.has(other, one)
    }

    /// The servers that `node` reaches and is reached by, itself among them.
    pub fn both_ways(self, node: u8) -> impl Iterator<Item = u8> {
        (0..self.nodes).filter(move |other| self.is_both_ways(node, *other))
    }

    /// The servers that a majority, themselves included, reaches and is reached by. A leader that
    /// commits is one of them: entries go to a majority, and come back as acknowledgements.
    pub fn hubs(self) -> impl Iterator<Item = u8> {
        (0..self.nodes).filter(move |hub| self.both_ways(*hub).count() >= self.majority())
    }

    /// Whether there is a majority all of whose servers reach each other.
    pub fn has_whole_majority(self) -> bool {
        let nodes = self.nodes;
        (0..1_u32 << nodes).any(|set| {
            let is_in = |node: &u8| set & (1 << node) != 0;
            let within = || (0..nodes).filter(is_in);
            let reach = |one: u8| within().all(|other| self.is_both_ways(one, other));
            set.count_ones() as usize >= self.majority() && within().all(reach)
        })
    }
}

/// All orders of the numbers below `count`.
fn permutations(count: u8) -> Vec<Vec<u8>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let shorter = permutations(last);
    let longer = shorter.iter().flat_map(|order| {
        (0..=order.len()).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    });
    longer.collect()
}

/// `1-2 1>3`: 1 and 2 reach each other, and 1 reaches 3.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut links = Vec::new();
        for (one, other) in self.all_pairs().filter(|(one, other)| one < other) {
            let sign = match (self.has(one, other), self.has(other, one)) {
                (true, true) => '-',
                (true, false) => '>',
                (false, true) => '<',
                (false, false) => continue,
            };
            links.push(format!("{}{sign}{}", one + 1, other + 1));
        }
        if links.is_empty() {
            return f.write_str("no links");
        }
        f.write_str(&links.join(" "))
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} servers: {self}", self.nodes)
    }
}
