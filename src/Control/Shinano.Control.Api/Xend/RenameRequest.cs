namespace Shinano.Control.Api.Xend;

public sealed record RenameRequest(string Name);
