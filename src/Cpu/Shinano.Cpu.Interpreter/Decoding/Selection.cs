namespace Shinano.Cpu.Interpreter;

/// <summary>What a selector answers.</summary>
internal enum Selection
{
    /// <summary>Not one of its instructions.</summary>
    NotMine,

    /// <summary>Chosen; the block goes on.</summary>
    Continues,

    /// <summary>Chosen; control never reaches the next instruction directly.</summary>
    Ends,
}
