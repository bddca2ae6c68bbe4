//! Immediate dominators of an acyclic graph with a single source.
//!
//! Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001): a node's immediate
//! dominator is where its predecessors' chains of dominators meet. Without cycles one pass in
//! topological order suffices. Jump pointers (Myers, "An applicative random-access stack", 1983)
//! find the meeting in logarithmic time, so that no shape of graph makes the whole quadratic.

/// The tree of dominators; nodes are numbers below the node count, the source is that count itself.
#[derive(Debug, Clone)]
pub(super) struct Dominators {
    parent: Vec<usize>,
    /// An ancestor some way up the tree; for nodes of equal depth equally far.
    jump: Vec<usize>,
    depth: Vec<usize>,
}

impl Dominators {
    /// The tree of a graph of `count` nodes: `order` is topological, `predecessors` gives those of
    /// a node, the source among them. Nodes that are not in `order` hang below the source.
    pub(super) fn of<'a>(
        count: usize,
        order: &[usize],
        predecessors: impl Fn(usize) -> &'a [usize],
    ) -> Self {
        let source = count;
        let mut tree = Dominators {
            parent: vec![source; count + 1],
            jump: vec![source; count + 1],
            depth: vec![0; count + 1],
        };
        for &node in order {
            let met = predecessors(node).iter().copied().reduce(|a, b| tree.meet(a, b));
            tree.hang(node, met.unwrap_or(source));
        }
        tree
    }

    /// The nodes that every path from the source to `node` passes, in order, ending at `node`.
    pub(super) fn chain(&self, node: usize) -> Vec<usize> {
        let source = self.parent.len() - 1;
        let up = |&at: &usize| Some(self.parent[at]).filter(|&parent| parent != source);
        let mut chain: Vec<usize> = std::iter::successors(Some(node), up).collect();
        chain.reverse();
        chain
    }

    fn hang(&mut self, node: usize, parent: usize) {
        let over = self.jump[parent];
        let even =
            self.depth[parent] - self.depth[over] == self.depth[over] - self.depth[self.jump[over]];
        self.parent[node] = parent;
        self.depth[node] = self.depth[parent] + 1;
        self.jump[node] = if even { self.jump[over] } else { parent };
    }

    /// The last node that both chains have in common.
    fn meet(&self, a: usize, b: usize) -> usize {
        let (mut deep, mut high) = if self.depth[a] < self.depth[b] { (b, a) } else { (a, b) };
        while self.depth[deep] > self.depth[high] {
            let far = self.jump[deep];
            deep = if self.depth[far] >= self.depth[high] { far } else { self.parent[deep] };
        }
        while deep != high {
            let step = if self.jump[deep] == self.jump[high] { &self.parent } else { &self.jump };
            (deep, high) = (step[deep], step[high]);
        }
        deep
    }
}
