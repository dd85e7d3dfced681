using Shinano.Control.Api.Xend;

namespace Shinano.ForkExample.Tests;

/// <summary>Tests that would spoil each other's machine, and do not: each has a running copy of its own.</summary>
public sealed class WorkTests(BootedGuest guest) : IClassFixture<BootedGuest>
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("rm -r /work", "ls /work", 1)]
    [InlineData("sed -i 1,500d /work/numbers", "[ $(wc -l </work/numbers) -eq 500 ]", 0)]
    [InlineData("true", "[ $(wc -l </work/numbers) -eq 1000 ]", 0)]
    public async Task A_command_is_tried_on_a_machine_of_its_own(string command, string check, int expected)
    {
        await using XendDomain copy = await guest.Domain.ForkAsync(cancellationToken: Cancellation);
        using DomainConsole console = await copy.OpenConsoleAsync(Cancellation);
        (_, int code) = await console.RunAsync(command, Cancellation);
        Assert.Equal(0, code);
        (_, int found) = await console.RunAsync(check, Cancellation);
        Assert.Equal(expected, found);
    }

    [Fact]
    public async Task A_machine_that_crashes_is_one_test_s_alone()
    {
        await using XendDomain copy = await guest.Domain.ForkAsync(cancellationToken: Cancellation);
        using (DomainConsole console = await copy.OpenConsoleAsync(Cancellation))
        {
            await console.TypeAsync("echo c >/proc/sysrq-trigger\n", Cancellation);
            await Assert.ThrowsAsync<IOException>(() => console.ReadUntilAsync("never said", Cancellation));
        }

        await using XendDomain another = await guest.Domain.ForkAsync(cancellationToken: Cancellation);
        using DomainConsole alive = await another.OpenConsoleAsync(Cancellation);
        Assert.Equal(("1000\n", 0), await alive.RunAsync("wc -l </work/numbers", Cancellation));
    }
}
