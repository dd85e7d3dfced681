namespace Shinano.Control.Api.Domains;

/// <summary>Who listens behind a control socket; xend compares it with what it wrote down before it adopts a process.</summary>
public sealed record DomainHello
{
    /// <summary>Version of <see cref="IDomainProcess"/> that the process speaks; <see cref="DomainControlChannel.ProtocolVersion"/>.</summary>
    public required int ProtocolVersion { get; init; }

    public required int DomainId { get; init; }

    public required Guid Uuid { get; init; }

    public required string Name { get; init; }

    public required int ProcessId { get; init; }
}
