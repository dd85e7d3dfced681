namespace Shinano.Hypervisor.Images;

/// <summary>An L1 entry carries a machine frame when <c>(entry &amp; Mask) == Value</c> (<c>public/elfnote.h: XEN_ELFNOTE_L1_MFN_VALID</c>).</summary>
public readonly record struct MfnValidPattern(ulong Mask, ulong Value);
