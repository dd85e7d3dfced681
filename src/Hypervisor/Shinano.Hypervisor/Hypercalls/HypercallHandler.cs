namespace Shinano.Hypervisor.Hypercalls;

/// <summary>
/// Serves one hypercall on the calling vCPU's thread. Returns what RAX gets: a result, or a negated <see cref="XenAbi.Errno"/>. Never throws for
/// what the guest passed. Work per call is bounded: a handler with more to do stores its progress in the argument registers or in the guest's
/// structure, as Xen's continuations do, and returns <see cref="HypercallTable.Restart"/>.
/// </summary>
public delegate long HypercallHandler(PvVcpu vcpu, in HypercallArguments arguments);
