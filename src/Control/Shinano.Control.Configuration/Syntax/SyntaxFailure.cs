namespace Shinano.Control.Configuration.Syntax;

/// <summary>Why and where a text does not parse.</summary>
internal sealed record SyntaxFailure(int Offset, string Message);
