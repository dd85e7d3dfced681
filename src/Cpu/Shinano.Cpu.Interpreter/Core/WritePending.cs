namespace Shinano.Cpu.Interpreter;

/// <summary>What remains to be done after a read-modify-write through the pointer that <see cref="GuestAccess.BeginUpdate"/> gave.</summary>
internal enum WritePending
{
    None = 0,

    /// <summary>The page holds code: tell the code cache.</summary>
    Announce = 1,

    /// <summary>The operand crosses a page: copy it from the scratch area to both pages.</summary>
    Split = 2,

    /// <summary>As <see cref="Split"/>, and the engine's split-lock gate is held.</summary>
    LockedSplit = 3,
}
