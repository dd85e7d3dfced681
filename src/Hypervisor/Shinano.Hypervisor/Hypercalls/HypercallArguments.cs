namespace Shinano.Hypervisor.Hypercalls;

/// <summary>The six argument registers of a 64-bit hypercall: RDI, RSI, RDX, R10, R8, R9. Source: public/arch-x86/xen-x86_64.h.</summary>
public readonly record struct HypercallArguments(ulong A1, ulong A2, ulong A3, ulong A4, ulong A5, ulong A6);
