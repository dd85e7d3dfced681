namespace Shinano.Hypervisor.Traps;

/// <summary>What CPUID leaves in EAX, EBX, ECX and EDX.</summary>
public readonly record struct CpuidLeaf(uint Eax, uint Ebx, uint Ecx, uint Edx);
