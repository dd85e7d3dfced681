using Shinano.Control.Api.Domains;

namespace Shinano.Control.Api.Xend;

/// <summary>Which xend serves.</summary>
/// <param name="ProcessId">Its process.</param>
/// <param name="Path">The program's .dll.</param>
/// <param name="Build"><see cref="BuildIdentity.Of"/> the program, when it started.</param>
/// <param name="ControlVersion"><see cref="DomainControlChannel.ProtocolVersion"/> that it speaks with its domains.</param>
public sealed record XendProgram(int ProcessId, string Path, string Build, int ControlVersion);
