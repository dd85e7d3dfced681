namespace Shinano.Cpu.Translator;

/// <summary>What a translation depends on besides address and bytes. Only 64-bit mode exists; the others become further fields.</summary>
/// <param name="Context">See <see cref="CpuState.TranslationContext"/>: whose look-aside tables the code uses.</param>
/// <param name="AllowsVex">CR4.OSXSAVE and XCR0 let VEX-encoded vector instructions execute.</param>
/// <param name="IsUngrouped">Each access has a check of its own: what goes on where a group does not fit into a page. No jump of the guest leads there.</param>
internal readonly record struct TranslationMode(int Context, bool AllowsVex, bool IsUngrouped = false);
