//! Passes over a decoded region. Each annotates; none changes what an instruction means. One pass a file, one row in [`PASSES`],
//! each switchable (`--no-opt=NAME`).

#![forbid(unsafe_code)]

mod liveness;

pub use liveness::liveness;

/// Optimisations by name. Bits of [`Switches`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opt {
    /// Flags that nobody reads are not computed (`optimize::liveness`).
    DeadFlags,
    /// Conditional branches on zero tests become CBZ/CBNZ/TBZ/TBNZ (`translate::branch`).
    ZeroBranch,
    /// Calls and returns use the host's return predictor (`translate::branch`).
    ShadowStack,
    /// Indirect jumps look their target up inline (`translate::branch`).
    InlineLookup,
    /// Direct exits are patched to their target (`engine`).
    Links,
    /// Upper halves of YMM registers stay in host registers (`translate::uppers`).
    UpperHalves,
    /// System calls that the kernel answers at once are made in translated code (`translate::syscall`).
    DirectCalls,
    /// Repeated string instructions go over many elements at once (`translate::string_blocks`).
    StringBlocks,
    /// XMM registers are renamed inside a block, and NaNs looked for once for several operations (`translate::groups`).
    FloatGroups,
    /// Returns and indirect jumps leave the carry's polarity to those targets that read CF (`translate::branch`).
    LateCarry,
    /// Code on pages that are written all the time compares its own bytes (`translate::guard`).
    Guards,
    /// A zero that a loop's vector instructions need stays in a host register (`translate::uppers`).
    HeldZero,
    /// x87 transfers that round nothing happen in translated code (`translate::x87_quick`).
    QuickX87,
    /// Register copies are joined with the instruction that overwrites the copy (`translate::copies`).
    Copies,
    /// Base and index of addresses are added once for several accesses of a group (`translate::group_kind`).
    SharedSums,
    /// Products in a group take a doubleword from where it lies in a register (`translate::group_values`).
    Elements,
    /// Of a floating-point comparison only a branch's exit computes the flags that it alone needs (`translate::branch`).
    LateCompare,
    /// Flags that only one way out of a branch needs are computed there (`translate::late_flags`).
    LateFlags,
    /// Conditional branches that leave a region go to the next one by themselves, not by way of their exit (`engine::cache`).
    BranchLinks,
    /// Bytes and words that an instruction before has extended are not extended again (`translate::operand`).
    KnownZeros,
    /// Loops of one block keep sums of base and index from one turn to the next (`translate::held_sums`).
    HeldSums,
    /// Repairs read memory operands again instead of keeping them (`translate::reread`).
    Rereads,
    /// System calls that pass are made by a stub that does not leave translated code (`emit::calls`).
    CallStubs,
    /// fstat and rt_sigreturn are carried out by a stub (`emit::own_calls`).
    OwnCalls,
    /// PCMPESTRI and PCMPISTRI in translated code (`translate::sse_string`).
    QuickCompares,
    /// Jumps and calls by pointers that nobody can write are direct ones (`decode::insn`).
    FixedTargets,
    /// Two neighbouring pushes or pops are one access (`translate::moves`).
    StackPairs,
    /// Scalar results go straight to their register where the rest of it is known to be zero (`translate::narrow`).
    Narrow,
    /// The pieces of a region are emitted in an order that takes few branches (`translate::pieces`).
    PieceOrder,
    /// Addresses relative to RIP are reached from one before where they are near it (`translate::near`).
    NearAddresses,
    /// Code that has not run often is interpreted (`interpret`).
    ColdCode,
    /// While memory has one observer loops do not look for signals: who brings one stops the code (`engine::halt`).
    Unpolled,
    /// While memory has one observer indirect jumps look at a large table beside the state (`emit::tables`).
    PlainTable,
    /// Direct calls leave it to where they go to put their return addresses on the shadow stack (`translate::branch`).
    CallEntries,
    /// What indirect jumps and calls lead to is asked for the flags that it reads, by a table of its own (`translate::late_jumps`).
    LateJumps,
    /// Rotations of vector lanes are SHL and SRI (`translate::rotates`).
    Rotates,
    /// Functions without stores return by the link register, when they are called (`translate::leaf`).
    LeafCalls,
    /// Exits to what is translated already are linked before their code is placed (`engine::links`).
    EarlyLinks,
    /// An access with order that is seen misaligned becomes a branch to the same by a barrier (`engine::detours`).
    BarrierDetours,
    /// Pushes with order lower RSP first, and a fault raises it again (`translate::operand`, `engine::run`).
    EarlyPushes,
    /// Loads that the next one's address depends on are no acquires (`translate::dependent`).
    DependentLoads,
    /// The barrier of a plain store takes the place of that of the load before it (`Asm::dmb_before_store`).
    JoinedBarriers,
    /// An access with order uses the address that one before it has made (`Asm::load`).
    SharedAddresses,
}

/// Name and meaning of every optimisation.
pub const PASSES: &[(Opt, &str, &str)] = &[
    (Opt::DeadFlags, "dead-flags", "compute only those flags that something reads"),
    (Opt::ZeroBranch, "zero-branch", "compare-with-zero branches become cbz, cbnz, tbz, tbnz"),
    (Opt::ShadowStack, "shadow-stack", "calls and returns by the host's return predictor"),
    (Opt::InlineLookup, "inline-lookup", "indirect jumps look up their target in emitted code"),
    (Opt::Links, "links", "direct exits jump straight to translated targets"),
    (Opt::UpperHalves, "upper-halves", "upper halves of YMM registers stay in host registers inside a region"),
    (Opt::DirectCalls, "direct-calls", "system calls that the kernel answers at once do not leave translated code"),
    (Opt::StringBlocks, "string-blocks", "repeated string instructions work on many elements at once"),
    (Opt::FloatGroups, "float-groups", "one look for NaNs after several operations, on renamed registers"),
    (Opt::LateCarry, "late-carry", "after returns and indirect jumps only code that reads CF brings the carry into canonical form"),
    (Opt::Guards, "guards", "code on pages that are rewritten all the time compares its own bytes, instead of the engine at each entry"),
    (Opt::HeldZero, "held-zero", "loops of AES rounds keep the zero that they need in a host register"),
    (Opt::QuickX87, "quick-x87", "x87 loads, stores and exchanges without a helper's call"),
    (Opt::Copies, "copies", "a register copied to be overwritten is not copied"),
    (Opt::SharedSums, "shared-sums", "base and index are added once for neighbouring floating-point accesses"),
    (Opt::Elements, "elements", "products take a doubleword of a vector register from where it lies"),
    (Opt::LateCompare, "late-compare", "flags of floating-point comparisons that only a branch's exit needs are computed there"),
    (Opt::LateFlags, "late-flags", "flags that only one way out of a conditional branch needs are computed there"),
    (Opt::BranchLinks, "branch-links", "conditional branches to other regions are linked themselves, not only the exits behind them"),
    (Opt::KnownZeros, "known-zeros", "bytes and words that MOVZX has just extended are not extended again"),
    (Opt::HeldSums, "held-sums", "loops over floating-point arrays keep sums of base and index, and step them on"),
    (Opt::Rereads, "rereads", "while memory has one observer, factors and addends from memory are not kept for a NaN's repair, but read again"),
    (Opt::CallStubs, "call-stubs", "system calls that pass are made by a stub, without the engine"),
    (Opt::OwnCalls, "own-calls", "fstat and the way back from a signal handler by a stub, without the engine"),
    (Opt::QuickCompares, "quick-compares", "PCMPESTRI and PCMPISTRI without a helper's call"),
    (Opt::FixedTargets, "fixed-targets", "jumps and calls by pointers in memory that nobody can write go straight to where they lead"),
    (Opt::StackPairs, "stack-pairs", "two neighbouring pushes or pops of registers are one access"),
    (Opt::Narrow, "narrow", "scalar results need no merging where the rest of the register is zero; entries of loops ask for that"),
    (Opt::PieceOrder, "piece-order", "where one piece of a region goes on in another, that is emitted behind it"),
    (Opt::NearAddresses, "near-addresses", "operands relative to RIP are reached from the address of one before"),
    (Opt::ColdCode, "cold-code", "what has not run yet, or a few times only, is interpreted, not translated"),
    (Opt::Unpolled, "unpolled", "while memory has one observer loops do not look for signals; the host's signal handler stops the code that it finds"),
    (Opt::PlainTable, "plain-table", "where loops do not look for signals, indirect jumps find their target in a table by its address' low bits, beside the state"),
    (Opt::Rotates, "rotates", "two VEX shifts and their OR are one rotation, where the shifts' own results are overwritten unread"),
    (Opt::LateJumps, "late-jumps", "indirect jumps and calls compute flags only for targets that may read them"),
    (Opt::LeafCalls, "leaf-calls", "short functions that store nothing return by the link register, not by way of the shadow stack"),
    (Opt::EarlyLinks, "early-links", "what a new translation leads to and is there already is linked at once, not when it first goes there"),
    (Opt::BarrierDetours, "barrier-detours", "an ordered access that is seen misaligned gets its barrier beside the code, instead of the code being translated again"),
    (Opt::EarlyPushes, "early-pushes", "a push with order lowers RSP first and stores there, without an address of its own; where that faults RSP is raised again"),
    (Opt::DependentLoads, "dependent-loads", "with order, a load that the next load's address is made of is a plain one: the dependency orders it"),
    (Opt::JoinedBarriers, "joined-barriers", "a store's DMB ISH takes the place of the DMB ISHLD of a load shortly before it"),
    (Opt::SharedAddresses, "shared-addresses", "with order, the address of an access is not made again where the one before has made the same: what reads, changes and writes memory"),
    (Opt::CallEntries, "call-entries", "what is called puts the host's return address on the shadow stack, where the call has left it in the link register"),
];

/// Which optimisations are on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switches(u64);

impl Default for Switches {
    fn default() -> Self {
        Switches(u64::MAX)
    }
}

impl Switches {
    /// None.
    pub const NONE: Switches = Switches(0);
    /// Is it on?
    pub fn on(self, o: Opt) -> bool {
        self.0 >> o as u8 & 1 != 0
    }
    /// The same with one off.
    pub fn without(self, o: Opt) -> Switches {
        Switches(self.0 & !(1 << o as u8))
    }
    /// Turns one off by name; "all" turns all off.
    pub fn disable(&mut self, name: &str) -> Result<(), String> {
        if name == "all" {
            self.0 = 0;
            return Ok(());
        }
        let row = PASSES.iter().find(|r| r.1 == name).ok_or_else(|| format!("unknown optimisation '{name}' (known: {})", names()))?;
        self.0 &= !(1 << row.0 as u8);
        Ok(())
    }
}

fn names() -> String {
    PASSES.iter().map(|r| r.1).collect::<Vec<_>>().join(", ")
}
