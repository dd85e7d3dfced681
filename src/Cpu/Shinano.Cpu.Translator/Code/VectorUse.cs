namespace Shinano.Cpu.Translator;

/// <summary>What a block needs of the vector registers before it runs, each more than the one before.</summary>
internal enum VectorUse
{
    None,

    /// <summary>That they are the guest's.</summary>
    Legacy,

    /// <summary>Also that their upper halves count as used.</summary>
    Vex,
}
