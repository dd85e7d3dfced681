namespace Shinano.Control.Api.Xend;

/// <summary>A console beside the first one.</summary>
/// <param name="Number">Of <c>xm console -n</c>; the guest's <c>device/console/N</c>.</param>
/// <param name="Name">What the guest knows it by.</param>
/// <param name="Socket">Where viewers attach, as at <see cref="DomainDetails.ConsoleSocket"/>.</param>
public sealed record ChannelDetails(int Number, string Name, string Socket);
