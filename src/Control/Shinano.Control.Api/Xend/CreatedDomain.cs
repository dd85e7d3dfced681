namespace Shinano.Control.Api.Xend;

/// <summary>A domain that now exists.</summary>
public sealed record CreatedDomain(int Id, string Name, Guid Uuid, string ConsoleSocket);
