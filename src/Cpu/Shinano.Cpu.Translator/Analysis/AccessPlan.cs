namespace Shinano.Cpu.Translator;

/// <summary>How one access of an instruction is checked; the default is by itself.</summary>
/// <param name="Role">Whether it shares a check.</param>
/// <param name="Group">Number of the group within the block.</param>
/// <param name="Start">For a head: first byte of the group, relative to the base register before the instruction's access.</param>
/// <param name="Size">For a head: bytes of the group.</param>
internal readonly record struct AccessPlan(AccessRole Role, int Group, int Start, int Size);
