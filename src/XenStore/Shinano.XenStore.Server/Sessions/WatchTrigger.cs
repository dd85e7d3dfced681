using System.Collections.Immutable;
using Shinano.XenStore.Protocol;

namespace Shinano.XenStore.Server.Sessions;

/// <summary>A change that watches are told of.</summary>
/// <param name="Path">Absolute, or special.</param>
/// <param name="Exact">See <see cref="WatchRegistry.Matching"/>.</param>
/// <param name="Before">The node's permissions before the change; default when it did not exist.</param>
internal readonly record struct WatchTrigger(string Path, bool Exact, ImmutableArray<NodePermission> Before);
