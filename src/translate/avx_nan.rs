//! x86's NaNs for both lanes of a YMM result with one test (see [`Ctx::choose_nan`] for one lane).

use super::context::Ctx;
use super::avx::WAITING;
use crate::emit::regs::*;
use crate::emit::simd::{Fp, ops::*};
use crate::emit::stubs::Stub;
use crate::emit::Order;

/// One lane: where the result is, where it belongs, and its operands by the order in which x86 looks for NaNs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lane {
    /// The host's result: `d`, or v4 or v5.
    pub r: V,
    /// Destination; no operand of the other lane.
    pub d: V,
    /// First operand.
    pub x: V,
    /// Second operand.
    pub y: V,
    /// Third operand, which may lie in v4 or v5.
    pub z: Option<V>,
}

/// Puts both results into their destinations, NaNs among them as x86 chooses. Operands lie where neither v0-v3 nor the other lane's
/// destination is. Uses v0-v5, T0.
pub fn settle(c: &mut Ctx, fp: Fp, lanes: [Lane; 2]) {
    if c.exact_nan() {
        let (scalar, stub) = if fp.double() { (Fp::D, Stub::NanD2) } else { (Fp::S, Stub::NanS4) };
        let done = c.a.label();
        let slow = c.cold(move |c| {
            repair(c, fp, stub, lanes);
            c.a.b(done);
        });
        c.a.f3(FMAX, fp, V(3), lanes[0].r, lanes[1].r);
        c.a.fmax_across(fp, V(3), V(3));
        c.branch_if_nan(scalar, V(3), slow);
        for l in lanes {
            c.a.vmov(l.d, l.r);
        }
        return c.a.bind(done);
    }
    for l in lanes {
        c.a.vmov(l.d, l.r);
    }
}

/// Looks at each lane. The stub loses v3 to v5: what the second lane has there waits in the state.
fn repair(c: &mut Ctx, fp: Fp, stub: Stub, lanes: [Lane; 2]) {
    let late = lanes[1];
    let (result, third) = (c.field(WAITING), c.field(WAITING + 16));
    c.a.store_v(16, late.r, result, Order::Plain);
    c.a.store_v(16, late.z.unwrap_or(late.r), third, Order::Plain);
    for (i, l) in lanes.into_iter().enumerate() {
        match l.z {
            Some(z) => {
                let z = if i == 0 {
                    z
                } else {
                    c.a.load_v(16, V(3), third, Order::Plain);
                    V(3)
                };
                c.a.f3(FCMEQ, fp, V(2), l.y, l.y);
                c.a.vlogic(BSL, V(2), z, l.y);
            }
            None => c.a.vmov(V(2), l.y),
        }
        c.a.vmov(V(1), l.x);
        if i == 0 {
            c.a.vmov(V(0), l.r);
        } else {
            c.a.load_v(16, V(0), result, Order::Plain);
        }
        c.call_stub(stub);
        c.a.vmov(l.d, V(0));
    }
}
