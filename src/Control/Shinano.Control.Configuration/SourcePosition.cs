namespace Shinano.Control.Configuration;

/// <summary>A place in a configuration text; lines and columns count from 1, a tab is one column.</summary>
public readonly record struct SourcePosition(int Line, int Column)
{
    public override string ToString() => $"{Line}:{Column}";
}
