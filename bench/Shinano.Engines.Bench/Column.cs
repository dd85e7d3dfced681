namespace Shinano.Engines.Bench;

/// <summary>What a group runs on: a column of the table, in its order.</summary>
internal enum Column
{
    /// <summary>The host's own CPU and kernel.</summary>
    Native,

    /// <summary>QEMU with its own translator.</summary>
    Tcg,

    /// <summary>Shinano's reference engine.</summary>
    Interpreter,

    /// <summary>Shinano's translator.</summary>
    Translator,
}
