namespace Shinano.Control.Configuration.Syntax;

/// <summary>A value as written: a <see cref="StringValue"/>, <see cref="NumberValue"/> or <see cref="ListValue"/>.</summary>
/// <param name="Offset">Index of its first character in the text.</param>
internal abstract record ConfigValue(int Offset)
{
    /// <summary>For messages: "a string", "a number", "a list".</summary>
    public abstract string Kind { get; }
}
